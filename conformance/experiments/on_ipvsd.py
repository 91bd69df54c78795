"""on_ipvsd.py FOLDER NAME.py: runs an experiment of this folder on ipvsd, whose binaries lie in FOLDER, instead of on the reference
kernel; as root, in namespaces of its own:

    unshare --net --mount python3 on_ipvsd.py ../../target/debug sctp_rules.py

Each reset() starts a new daemon, as on the reference it loads the module anew.
"""
import os, re, runpy, subprocess, sys, time

os.makedirs("/run/netns", exist_ok=True)
subprocess.run(["mount", "-t", "tmpfs", "none", "/run/netns"], check=True)
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
import packets

folder, name = sys.argv[1:3]
socket = f"/tmp/ipvsd-experiment-{os.getpid()}.sock"
os.environ.update(IPVSD_SOCKET=socket, PATH=os.path.abspath(folder) + ":" + os.environ["PATH"])
daemon = None


def stop():
    global daemon
    if daemon:
        daemon.terminate()
        daemon.wait()
        daemon = None
    for path in (socket, socket + ".settings"):
        if os.path.exists(path):
            os.remove(path)


def start():
    global daemon
    stop()
    daemon = subprocess.Popen(["ipvsd", "run", "--fresh", "--capacity", "4096", "--interface", "c0", "--interface", "r0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        if subprocess.run(["ipvsadm", "-Ln"], capture_output=True).returncode == 0:
            return
        time.sleep(0.05)
    sys.exit("ipvsd does not answer")


def translated(command):
    command = re.sub(r"(cat|sort) /proc/net/(ip_vs\w*)", lambda it: f"ipvsd show proc {it[2]}" + " | sort" * (it[1] == "sort"), command)
    command = re.sub(
        r"ip6?tables -t mangle -A PREROUTING -i c0 -p (\w+) -d (\S+)(?: -m multiport --dports (\S+))? -j MARK --set-mark (\d+)",
        lambda it: f"ipvsd mark add --proto {it[1]} --dst {it[2]} --mark {it[4]}" + (f" --dport {it[3].replace(':', '-')}" if it[3] else ""),
        command,
    )
    return command.replace("sysctl -qw net.ipv4.vs.", "ipvsd sysctl ")


plain_setup, plain_sh, plain_show = packets.setup, packets.sh, packets.show


def setup(**arguments):
    plain_setup(**arguments)
    start()


def reset(*rules):
    start()
    for rule in rules:
        packets.sh("ipvsadm " + rule)
    packets.drain()


def run(command, check=True):
    command = translated(command)
    return plain_sh(command, check and not re.search("modprobe|iptables", command))


packets.sh = run
packets.show = lambda command: plain_show(translated(command))
packets.setup, packets.reset, packets.afresh = setup, reset, reset
try:
    runpy.run_path(os.path.join(here, name), run_name="__main__")
finally:
    stop()
