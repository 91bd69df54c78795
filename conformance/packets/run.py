"""run.py kernel|ipvsd|ipvsd-xdp|ipvsd-tc TABLE…: runs tables of scenarios through IPVS and prints what came of each. As root; `cargo xtask conformance packets`
calls it, on the reference kernel and (with ipvsd and its ipvsadm in PATH) here. In the last two the fast path forwards what it can, and it is told how many packets that were.

run.py names TABLE…: prints the scenarios' names alone.
"""
import os, shlex, sys, time
import build, network, tell
from director import Classifier, Daemon, Fast, Kernel
from names import Names, side
from tables import Table

HERE = os.path.dirname(os.path.abspath(__file__))


def echo(text):
    print(text, flush=True)


class Run:
    """A scenario under way."""

    def __init__(self, scenario, names, net, ipvs):
        self.scenario, self.names, self.net, self.ipvs = scenario, names, net, ipvs
        self.teller, self.lines, self.last, self.trace = tell.Teller(names, ipvs.sends_frames), [], b"", False

    def say(self, line):
        self.lines.append(line)

    def steps(self):
        pending = []
        for step in self.scenario.steps:
            if step.startswith("ipvsadm ") and step.split()[1] in ("-A", "-a"):
                pending.append(step)
                continue
            self.commands(pending)
            pending = []
            self.step(step)
        self.commands(pending)

    def commands(self, steps):
        """Commands that make services and destinations, in one go."""
        if steps:
            self.told(self.ipvs.ipvsadm_lines([self.names.command(step[8:]) for step in steps]))

    def told(self, output):
        for line in output.splitlines():
            self.say("    | " + self.names.shown(line).rstrip())

    def step(self, step):
        if step == "trace":
            # From here on, connections are shown after each packet.
            self.trace = True
            return
        self.say("  " + step)
        kind, _, rest = step.partition(" ")
        if kind == "ipvsadm":
            self.told(self.ipvs.ipvsadm(*shlex.split(self.names.command(rest))))
        elif kind == "sysctl":
            self.ipvs.set(*rest.split("=", 1))
        elif kind == "wait":
            time.sleep(float(rest.rstrip("s")))
            self.out("c")
        elif step == "estimate":
            # The kernel counts up to its latest estimate: here it makes one.
            time.sleep(self.ipvs.counters_after)
        elif kind == "show" and rest == "connections":
            self.connections()
        elif kind == "show":
            self.listing(*shlex.split(rest))
        elif step.split()[1:2] == [">"]:
            self.packet(step.split())
            if self.trace:
                self.connections()
        else:
            raise SystemExit(f"{self.scenario.name}: not understood: {step}")

    def packet(self, words):
        try:
            packet, sender = self.built(words)
        except (ValueError, IndexError, KeyError) as error:
            raise SystemExit(f"{self.scenario.name}: {' '.join(words)}: {error!r}") from error
        if not packet:
            self.say("    nothing to quote")
            return
        self.teller.saw(packet)
        self.net.send(side(sender), packet)
        self.out(side(sender))

    def built(self, words):
        if words[-2:] != ["about", "last"]:
            return build.packet(words, self.names)
        if not self.last:
            return b"", ""
        quote = [word for word in words if word.startswith("quote=")]
        data = self.last[:int(quote[0][6:])] if quote else self.last
        return build.packet([word for word in words[:-2] if word not in quote], self.names, data)

    def out(self, key):
        frames = self.net.settle(key)
        for frame in frames:
            self.say("    " + self.teller.frame(frame))
            self.last = frame[14:]
        if not frames:
            self.say("    nothing")

    def connections(self):
        time.sleep(self.ipvs.tick)
        rows = (tell.connection(row, self.names) for row in self.ipvs.connections())
        rows = sorted(row for row in rows if row)
        for row in rows or ["no connections"]:
            self.say("    " + row)

    def listing(self, *options):
        """The scenario's part of a listing of services."""
        time.sleep(self.ipvs.tick)
        mine = False
        for line in self.ipvs.ipvsadm("-Ln", *options).splitlines()[1:]:
            if not line.startswith("  -> "):
                words = line.split()
                mine = len(words) > 1 and self.own(words[1])
            if mine:
                self.say("    " + " ".join(self.names.shown(line).split()))

    def own(self, end):
        """Whether an address and port of a listing are of this scenario."""
        return self.names.shown(end) != end

    def end(self):
        self.say("  at the end")
        self.listing()
        self.connections()


def run(table, side_of):
    net = network.Network(table.mtu, side_of.sends_frames, side_of.parks)
    used = [(Names(slot, scenario.family), network.used(" ".join(scenario.steps))) for slot, scenario in enumerate(table.scenarios, 1)]
    net.welcome(used)
    ipvs = side_of()
    try:
        net.settle("c")
        runs = []
        for scenario, (names, _) in zip(table.scenarios, used):
            run = Run(scenario, names, net, ipvs)
            runs.append(run)
            try:
                run.steps()
                run.end()
            except network.Stalled as error:
                run.say(f"  STALLED: {error}")
            ipvs.restore()
            if any(step.startswith("ipvsadm --set") for step in scenario.steps):
                ipvs.ipvsadm("--set", "900", "120", "300")
        time.sleep(ipvs.counters_after)
        for run in runs:
            run.say("  counters")
            run.listing("--stats", "--exact")
            echo(f"\nscenario {run.scenario.name}: {run.scenario.title}")
            for line in run.lines:
                echo(line)
    finally:
        ipvs.stop()
        net.close()
    if side_of.options:
        echo(f"\nforwarded {ipvs.forwarded}")


def main(where, *names):
    tables = [(name, Table(os.path.join(HERE, name + ".table"))) for name in names]
    if where == "names":
        for name, table in tables:
            for scenario in table.scenarios:
                echo(f"{name} {scenario.name}")
        return
    side_of = {"kernel": Kernel, "ipvsd": Daemon, "ipvsd-xdp": Fast, "ipvsd-tc": Classifier}[where]
    side_of.prepare()
    for name, table in tables:
        echo(f"table {name}")
        run(table, side_of)


main(*sys.argv[1:])
