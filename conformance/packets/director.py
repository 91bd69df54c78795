"""IPVS, of the kernel or of ipvsd, in the namespace that this process is in."""
import os, re, subprocess, tempfile, time
from network import DATA_MARKER, MARKERS, MARK_PORT

SERVICES = [line for service, server in MARKERS.values() for line in (f"-A -u {service}:{MARK_PORT} -s rr -o", f"-a -u {service}:{MARK_PORT} -r {server}:{MARK_PORT} -g")]


def run(*command, text=""):
    return subprocess.run(command, input=text, capture_output=True, text=True)


DATA_SERVICE = [f"-A -t {DATA_MARKER[0]}:{MARK_PORT} -s rr", f"-a -t {DATA_MARKER[0]}:{MARK_PORT} -r {DATA_MARKER[1]}:{MARK_PORT} -i --tun-type gre --tun-csum"]


class Director:
    """What both have in common."""

    # Whether TCP data have a way of their own through it.
    parks = False

    def __init__(self):
        self.changed = {}
        error = self.ipvsadm_lines(SERVICES + (DATA_SERVICE if self.parks else []))
        if error:
            raise SystemExit("markers: " + error)

    def ipvsadm(self, *words):
        """A command; what it prints, and its exit code if it fails."""
        result = run("ipvsadm", *words)
        out = result.stdout + "".join(line + "\n" for line in result.stderr.splitlines() if not line.startswith("modprobe: "))
        return out + (f"exit code {result.returncode}\n" if result.returncode else "")

    def ipvsadm_lines(self, lines):
        """Commands, in one run of ipvsadm; what went wrong."""
        result = run("ipvsadm", "-R", text="\n".join(lines) + "\n")
        return result.stdout + result.stderr + (f"exit code {result.returncode}\n" if result.returncode else "")

    def set(self, name, value):
        """Changes a setting until `restore`."""
        self.changed.setdefault(name, self.get(name))
        self.put(name, value)

    def restore(self):
        for name, value in self.changed.items():
            self.put(name, value)
        self.changed = {}


class Kernel(Director):
    NAME = "the reference kernel"
    options, sends_frames = [], False
    # What the kernel shows of counters is up to two seconds old.
    counters_after = 2.2
    # A connection that gave its place to another goes at the next tick of the clock.
    tick = 0.02

    @staticmethod
    def prepare():
        run("modprobe", "-a", "ip_vs", "fou", "fou6", "ip_gre", "ip6_gre", "ipip", "ip6_tunnel")
        # Packets keep their order on one processor.
        os.sched_setaffinity(0, {0})

    def get(self, name):
        with open("/proc/sys/net/ipv4/vs/" + name) as file:
            return file.read().strip()

    def put(self, name, value):
        with open("/proc/sys/net/ipv4/vs/" + name, "w") as file:
            file.write(value)

    def connections(self):
        with open("/proc/net/ip_vs_conn") as file:
            return file.read().splitlines()

    def stop(self):
        pass


class Daemon(Director):
    NAME = "ipvsd"
    # Words for the daemon, and whether it sends frames that an XDP program forwards.
    options, sends_frames = [], False
    counters_after = 0
    tick = 0

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="ipvsd-packets-")
        os.environ["IPVSD_SOCKET"] = self.folder + "/socket"
        self.log = open(self.folder + "/log", "w+")
        command = ["ipvsd", "run", "--fresh", "--capacity", "65536", "--interface", "c0", "--interface", "r0", *self.options]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        end = time.monotonic() + 60
        while run("ipvsadm", "-Ln").returncode:
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise SystemExit("ipvsd does not answer")
            time.sleep(0.02)
        super().__init__()

    @staticmethod
    def prepare():
        pass

    def get(self, name):
        return run("ipvsd", "sysctl", "-n", name).stdout.strip()

    def put(self, name, value):
        result = run("ipvsd", "sysctl", f"{name}={value}")
        if result.returncode:
            raise SystemExit(f"sysctl {name}={value}: {result.stderr}")

    def connections(self):
        return run("ipvsd", "show", "proc", "ip_vs_conn").stdout.splitlines()

    def stop(self):
        code = self.process.poll()
        self.process.terminate()
        self.process.wait()
        if code is not None:
            self.log.seek(0)
            raise SystemExit(f"ipvsd ended, {code}:\n" + self.log.read())
        self.log.seek(0)
        self.forwarded = int(([0] + re.findall(r"forwarded-by-xdp\W+packets=(\d+)", self.log.read()))[-1])
        self.log.close()
        for name in os.listdir(self.folder):
            os.remove(os.path.join(self.folder, name))
        os.rmdir(self.folder)


class Fast(Daemon):
    """ipvsd whose XDP program forwards what it can."""
    options, sends_frames = ["--fast-path", "on", "--pin", "off"], True


class Classifier(Fast):
    """The same as a tc classifier."""
    options, parks = [*Fast.options, "--attach", "tc"], True
