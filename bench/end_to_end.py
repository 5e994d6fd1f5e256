#!/usr/bin/env python3
"""The end-to-end benchmark behind bench/run.sh.

Wall time is that of the command; CPU is what daemon, service, shim and CRIU used meanwhile (user
and system, their ended children included); memory is the daemon's peak. The baseline is CRIU's own
dump to a folder on the same file system, with and without `sync -f`, and its restore from there.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("CEDANA_BUILD_DIR", ROOT / "build"))
BIN = BUILD / "bin"
CRIU_DUMP = ["--network-lock", "nftables", "--file-locks", "--manage-cgroups=ignore", "-v1"]
TICK = os.sysconf("SC_CLK_TCK")


def wait_for(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"bench: timed out: {what}")
        time.sleep(0.01)


def cpu_seconds(pids):
    """User and system time of the processes and of their children that have ended."""
    total = 0
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(x) for x in fields[11:15])
    return total / TICK


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Bench:
    def __init__(self, options):
        self.options = options
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="cedana-bench.", dir=options.dir))
        self.rows = {}
        self.peak_kb = 0
        self.env = dict(
            os.environ,
            CEDANA_CONFIG_DIR=str(self.dir / "config"),
            CEDANA_ADDRESS=str(self.dir / "cedana.sock"),
            CEDANA_DB_PATH=str(self.dir / "cedana.db"),
            CEDANA_RUN_DIR=f"/run/cedana-bench-{os.getpid()}",
            CEDANA_PLUGINS_LIB_DIR=str(self.dir / "lib"),
        )
        (self.dir / "lib").mkdir()

    def cedana(self, *args):
        done = subprocess.run([BIN / "cedana", *args], env=self.env, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"bench: cedana {' '.join(args)}: {done.stderr}")
        return done.stdout

    def start(self):
        with open(self.dir / "storage.out", "w") as out, open(self.dir / "storage.log", "w") as log:
            self.storage = subprocess.Popen(
                [BIN / "cedana-storage", "serve", "--data", self.dir / "storage", "--listen",
                 "127.0.0.1:0"], stdout=out, stderr=log)
        out = self.dir / "storage.out"
        wait_for("cedana-storage", lambda: "listening on" in out.read_text())
        self.env["CEDANA_URL"] = out.read_text().split()[-1]
        self.env["CEDANA_AUTH_TOKEN"] = (self.dir / "storage/token").read_text().strip()
        self.cedana("plugin", "install", "storage/cedana")
        with open(self.dir / "daemon.log", "w") as log:
            self.daemon = subprocess.Popen([BIN / "cedana", "daemon", "start"], env=self.env,
                                           stderr=log, stdout=log)
        wait_for("daemon", lambda: subprocess.run([BIN / "cedana", "job", "list"], env=self.env,
                                                  capture_output=True).returncode == 0)

    def stop(self):
        for process in (self.daemon, self.storage):
            process.send_signal(signal.SIGTERM)
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.rmtree(self.env["CEDANA_RUN_DIR"], ignore_errors=True)

    def job(self):
        return json.loads(self.cedana("job", "list", "-o", "json"))[0]

    def memhog(self, log):
        return [str(BUILD / "test/workloads/memhog"), "--mib", str(self.options.mib),
                "--half-compressible"]

    def add(self, name, wall, cpu, frozen=None):
        row = self.rows.setdefault(name, {"wall": [], "cpu": [], "frozen": []})
        row["wall"].append(wall)
        row["cpu"].append(cpu)
        if frozen is not None:
            row["frozen"].append(frozen)

    def timed(self, name, command, shim=None):
        # A shim counts CRIU's time as that of an ended child; the service has no children.
        watched = [self.daemon.pid, self.storage.pid] + ([shim] if shim else [])
        cpu, begun = cpu_seconds(watched), time.monotonic()
        self.cedana(*command)
        wall = time.monotonic() - begun
        job = self.job()
        if shim is None or not alive(shim):
            parent = self.parent(job["pid"])
            used = cpu_seconds(watched[:2] + ([parent] if parent else [])) - cpu
        else:
            used = cpu_seconds(watched) - cpu
        self.add(name, wall, used)
        return job

    @staticmethod
    def parent(pid):
        try:
            return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return None

    def round_cedana(self, codec):
        pid = self.job()["pid"]
        self.timed(f"cedana dump {codec}", ["dump", "job", "hog", "--dir", "cedana://bench",
                                            "--compression", codec], self.parent(pid))
        wait_for("end of the process", lambda: not alive(pid))
        self.timed(f"cedana restore {codec}", ["restore", "job", "hog"])

    def children_cpu(self):
        times = os.times()
        return times.children_user + times.children_system

    def round_criu(self):
        """The same process, started apart, by CRIU alone; wall of dump, of dump + sync, of restore."""
        criu = str(BUILD / "criu/criu")
        log = self.dir / "plain.log"
        log.unlink(missing_ok=True)
        images = self.dir / "images"
        shutil.rmtree(images, ignore_errors=True)
        images.mkdir()
        with open(log, "a") as out:
            process = subprocess.Popen(self.memhog(log), stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=out, start_new_session=True)
        wait_for("memhog", lambda: "ready" in log.read_text(), 300)
        cpu, begun = self.children_cpu(), time.monotonic()
        subprocess.run([criu, "dump", "-t", str(process.pid), "-D", images, *CRIU_DUMP], check=True)
        wall = time.monotonic() - begun
        process.wait()
        self.add("criu dump", wall, self.children_cpu() - cpu)
        subprocess.run(["sync", "-f", images], check=True)
        self.add("criu dump + sync -f", time.monotonic() - begun, self.children_cpu() - cpu)
        cpu, begun = self.children_cpu(), time.monotonic()
        subprocess.run([criu, "restore", "-D", images, "-d", "--pidfile", self.dir / "pf",
                        "--network-lock", "nftables", "--file-locks", "--manage-cgroups=ignore",
                        "-v1"], check=True)
        self.add("criu restore", time.monotonic() - begun, self.children_cpu() - cpu)
        pid = int((self.dir / "pf").read_text())
        (self.dir / "pf").unlink()
        os.kill(pid, signal.SIGKILL)
        wait_for("end of the plain process", lambda: not alive(pid))

    def run(self):
        self.start()
        try:
            log = self.dir / "hog.log"
            self.cedana("run", "process", "-j", "hog", "-o", str(log), "--", *self.memhog(log))
            wait_for("memhog", lambda: "ready" in log.read_text(), 300)
            for number in range(self.options.rounds):
                self.round_criu()
                for codec in self.options.codecs.split():
                    self.round_cedana(codec)
                print(f"round {number + 1} of {self.options.rounds}", flush=True)
            os.kill(self.job()["pid"], signal.SIGUSR1)
            wait_for("verification", lambda: "verify" in log.read_text())
            if "verify ok" not in log.read_text():
                raise SystemExit("bench: the restored memory is wrong")
            status = pathlib.Path(f"/proc/{self.daemon.pid}/status").read_text()
            self.peak_kb = int(status.split("VmHWM:")[1].split()[0])
            self.cedana("job", "kill", "hog")
        finally:
            self.stop()

    def table(self):
        print(f"\n{self.options.mib} MiB, half compressible, {self.options.rounds} rounds, "
              f"medians (least..most)\n")
        print(f"{'':24}{'wall s':>24}{'CPU s':>8}{'x criu':>8}")
        for name, row in sorted(self.rows.items()):
            wall = statistics.median(row["wall"])
            base = "criu restore" if "restore" in name else "criu dump"
            ratio = wall / statistics.median(self.rows[base]["wall"])
            spread = f"{wall:.2f} ({min(row['wall']):.2f}..{max(row['wall']):.2f})"
            print(f"{name:24}{spread:>24}{statistics.median(row['cpu']):8.2f}{ratio:8.2f}")
        print(f"\ndaemon's peak resident memory: {self.peak_kb // 1024} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--codecs", default="none lz4 zstd")
    parser.add_argument("--dir", default=None, help="where the folders are made (default: TMPDIR)")
    bench = Bench(parser.parse_args())
    bench.run()
    bench.table()


if __name__ == "__main__":
    main()
