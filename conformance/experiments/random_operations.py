"""Random sequences of commands and packets: what becomes of each packet, and at each sequence's end connections, counts and
counters. Run it on the reference kernel and on ipvsd: both print the same.

A client uses other ports for each virtual port: two connections from one port to one server's port would have answers that
may belong to either, and which of them gets one depends on the hash.

Each sequence takes less than the shortest timeout (10 s), so time plays no part. Left out: ZERO, since the kernel shows
counters as of the last estimate.
"""
import os, random
from packets import *
SEQUENCES, LENGTH = int(os.environ.get("SEQUENCES", "25")), 70
setup()
v = V4
draw = random.Random(int(os.environ.get("SEED", "1")))
pick = draw.choice
SERVICES = [f"-t {v}:80"] * 4 + [f"-u {v}:53"] * 3 + [f"-t {v}:21"] * 2 + [f"-t {v}:8080", f"-t {v}:0", f"-u {v}:0"]
SERVERS = ["10.0.2.11", "10.0.2.12", "10.0.2.13"]
SETTINGS = [("expire_nodest_conn", 2), ("expire_quiescent_template", 2), ("conn_reuse_mode", 4), ("sloppy_tcp", 2), ("secure_tcp", 4)]
CLIENTS = ["10.0.1.2", "10.0.1.3", "10.0.1.4"]


def service():
    s = pick(SERVICES)
    persistent = s.endswith(":0") or draw.random() < .3
    mask = pick(["", " -M 255.255.255.0", " -M 255.255.255.254"]) if persistent else ""
    return s, " -s " + pick("rr wrr lc wlc sed nq fo ovf sh dh mh".split()) + (" -p 300" + mask if persistent else "")


def weight():
    w = f" -w {pick([0, 1, 1, 2, 3, 6])}"
    if draw.random() < .3:
        u = pick([1, 2, 3, 5])
        w += f" -x {u}" + (f" -y {pick(range(1, u + 1))}" if draw.random() < .5 else "")
    return w


def command():
    s, settings = service()
    r = f" -r {pick(SERVERS)}" + pick([":8080"] * 4 + [""])
    n = draw.random()
    if n < .30: return f"-a {s}{r} {pick(['-m', '-m', '-m', '-g'])}{weight()}"
    if n < .55: return f"-e {s}{r} {pick(['-m', '-m', '-m', '-g'])}{weight()}"
    if n < .65: return f"-d {s}{r}"
    if n < .80: return f"-A {s}{settings}"
    if n < .90: return f"-E {s}{settings}"
    if n < .93: return f"-D {s}"
    name, values = pick(SETTINGS)
    return f"{name}={draw.randrange(values)}"


def packet():
    source, to = pick(CLIENTS), pick([80, 80, 80, 80, 21, 21, 8080, 443])
    port = pick([10_000, 20_000]) + to
    if draw.random() < .65:
        if draw.random() < .75:
            return "cl", tcp(source, port, v, to, pick(["S", "S", "A", "A", "FA", "R"]))
        return "cl", udp(source, port, v, 53 if to == 80 else 123)
    if draw.random() < .8:
        return "rs", tcp(pick(SERVERS), pick([8080, 8080, 8080, 80]), source, port, pick(["SA", "SA", "A", "FA", "R"]))
    return "rs", udp(pick(SERVERS), 8080, source, port)


def start():
    """Services that something comes to at once."""
    for s in (f"-t {v}:80", f"-u {v}:53", f"-t {v}:21"):
        yield f"-A {s} -s {pick('rr wrr lc wlc sed nq fo ovf sh dh mh'.split())}{pick(['', ' -p 300'])}"
        for r in SERVERS:
            yield f"-a {s} -r {r}:8080 -m -w {pick([1, 1, 2, 3])}"


for number in range(SEQUENCES):
    title(f"sequence {number}")
    reset(*start())
    for name, _ in SETTINGS:
        sysctl(**{"net__ipv4__vs__" + name: 1 if name == "conn_reuse_mode" else 0})
    for _ in range(LENGTH):
        if draw.random() < .2:
            c = command()
            if "=" in c:
                print(" ", c)
                sysctl(**{"net__ipv4__vs__" + c.split("=")[0]: c.split("=")[1]})
            else:
                r = subprocess.run("ipvsadm " + c, shell=True, capture_output=True, text=True)
                print(f"  {c}: {r.returncode} {r.stderr.strip()}")
        else:
            where, p = packet()
            out = [f"{ns} to {b[5]:02x}: {line[3:].split(' ttl')[0]} {line.split(') ')[-1].split('] ')[-1].split(' ', 7)[-1][:60]}" for ns, line, b in send(where, p, quiet=True, wait=.04)]
            print(f"  {where} {dissect(p)[3:].split(' ttl')[0]} {' '.join(dissect(p).split(' TCP ')[-1].split(' UDP ')[-1].split()[:2])} => {out}", flush=True)
    show("cat /proc/net/ip_vs_conn | tail -n +2 | awk '{$NF=\"\"; print}' | sort; ipvsadm -Ln | tail -n +4; ipvsadm -Ln --persistent-conn | tail -n +4")
    stats()
