"""Tables of scenarios: NAME.table, read and expanded. The form is told in ../README.md."""
import itertools, re, shlex


class Scenario:
    def __init__(self, name, title, family, steps):
        self.name, self.title, self.family, self.steps = name, title, family, steps


class Table:
    def __init__(self, path):
        self.path, self.mtu, self.scenarios = path, {}, []
        blocks, block = [], None
        for number, line in enumerate(open(path, encoding="utf-8"), 1):
            line = line.split("# ")[0].rstrip() if not line.startswith("#") else ""
            if not line:
                continue
            if line.startswith("scenario "):
                block = {"at": number, "head": line[9:], "with": {}, "steps": []}
                blocks.append(block)
            elif line.startswith("mtu ") and block is None:
                side, size = line.split()[1:]
                self.mtu[side[0]] = int(size)
            elif line.startswith("with ") and block and not block["steps"]:
                name, values = line[5:].split(":", 1)
                block["with"][name.strip()] = [pair(value) for value in values.split("|")]
            elif line[0] == " " and block:
                block["steps"].append(line.strip())
            else:
                raise SystemExit(f"{path}:{number}: not understood: {line}")
        for block in blocks:
            self.scenarios += expand(block, path)
        names = [scenario.name for scenario in self.scenarios]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise SystemExit(f"{path}: more than one scenario is called {', '.join(sorted(twice))}")
        if len(names) > 250:
            raise SystemExit(f"{path}: {len(names)} scenarios, 250 have addresses")


def pair(text):
    """`label = value`, or a value that is its own label."""
    label, _, value = text.partition("=") if re.match(r"\s*[\w+-]+\s*=\s", text) else (text, "", text)
    return label.strip(), value.strip()


def expand(block, path):
    """All scenarios of a block: one for each combination of its `with` lines."""
    variables = list(block["with"])
    for choice in itertools.product(*block["with"].values()):
        labels = {name: label for name, (label, _) in zip(variables, choice)}
        values = {name: value for name, (_, value) in zip(variables, choice)}
        fill = lambda text: re.sub(r"\{(\w+)(:name)?\}", lambda m: (labels if m[2] else values).get(m[1], m[0]), text)
        head = re.sub(r"\{(\w+)\}", lambda m: labels.get(m[1], m[0]), block["head"])
        name, _, title = head.partition(": ")
        steps = []
        for step in block["steps"]:
            steps += loops(fill(step))
        left = [step for step in steps if re.search(r"\{\w+\}", step)]
        if left:
            raise SystemExit(f"{path}:{block['at']}: no value for {left[0]}")
        yield Scenario(name.strip(), title.strip(), values.get("family", "4"), steps)


def loops(step):
    """`for X in A B 1..3: STEP`: the step for each value; `if A = B: STEP`: the step, or none."""
    loop = re.match(r"for (\w+) in ([^:]+): (.*)", step)
    if loop:
        values = []
        for word in loop[2].split():
            ends = re.fullmatch(r"(\d+)\.\.(\d+)", word)
            values += [str(i) for i in range(int(ends[1]), int(ends[2]) + 1)] if ends else [word]
        return [line for value in values for line in loops(loop[3].replace("{" + loop[1] + "}", value))]
    condition = re.match(r"if (\S+) (=|!=) (\S+): (.*)", step)
    if condition:
        same = condition[1] == condition[3]
        return loops(condition[4]) if same == (condition[2] == "=") else []
    return [step]


def words(step):
    return shlex.split(step)
