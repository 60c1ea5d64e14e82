"""The places that mutants change, and what stands there in the copy."""

import dataclasses
import re

from .lists import ROOT, Wrong


@dataclasses.dataclass
class Place:
    """One place of a file, its mutants, and the smaller places inside it, in order."""

    start: int
    end: int
    text: str
    mutants: list = dataclasses.field(default_factory=list)
    inside: list = dataclasses.field(default_factory=list)

    def names(self):
        return ", ".join(mutant["name"] for mutant in self.mutants)


def places(mutants):
    """Where each file is changed, by file, in order."""
    files, problems = {}, []
    for mutant in (place for mutant in mutants for place in mutant["places"]):
        path = ROOT / mutant["file"]
        if not path.is_file() or not mutant["file"].startswith("src/"):
            problems.append(f"{mutant['label']}: there is no source file {mutant['file']}")
            continue
        # Tests at the end of a file quote what they test.
        text = re.split(r"#\[cfg\(test\)\]\n(?:pub(?:\(crate\))? )?mod \w+ \{", path.read_text())[0]
        found = list(re.finditer(spaced(mutant["find"]), text))
        if len(found) != 1:
            problems.append(f"{mutant['label']}: `find` occurs {len(found)} times in {mutant['file']}, not once")
            continue
        span = found[0].span()
        files.setdefault(mutant["file"], {}).setdefault(span, Place(*span, found[0].group())).mutants.append(mutant)
    nested = {file: nest(file, here.values(), problems) for file, here in files.items()}
    if problems:
        raise Wrong("\n".join(problems))
    return nested


def nest(file, flat, problems):
    """These places with the smaller ones inside the larger ones; also says which fit neither way."""
    outermost, around = [], []
    for place in sorted(flat, key=lambda place: (place.start, -place.end)):
        while around and around[-1].end <= place.start:
            around.pop()
        if around and around[-1].end < place.end:
            problems.append(f"{file}: the places of {around[-1].names()} and {place.names()} overlap")
            continue
        (around[-1].inside if around else outermost).append(place)
        around.append(place)
    for place in flat:
        text = [mutant for mutant in place.mutants if mutant["form"] == "text"]
        if text and len(place.mutants) > 1:
            problems.append(f"{file}: a place with form = \"text\" belongs to one mutant, and this one is of {place.names()}")
        elif text:
            problems += [f"{file}: `replace` of {place.names()} has to hold what {inner.names()} finds, once"
                         for inner in place.inside if len(re.findall(spaced(inner.text), text[0]["replace"])) != 1]
    return outermost


def rewritten(place):
    """What stands in the copy in its place."""
    first = place.mutants[0]
    if first["form"] == "text":
        out = first["replace"].replace("{broken}", question(first))
        for inner in place.inside:
            out = re.sub(spaced(inner.text), lambda _, inner=inner: rewritten(inner), out)
        return out
    out = place.text
    for inner in reversed(place.inside):
        out = out[:inner.start - place.start] + rewritten(inner) + out[inner.end - place.start:]
    block, chained = place.text.endswith((";", "}")), f"{{ {out} }}"
    for mutant in reversed(place.mutants):
        out = f"if {question(mutant)} {{ {mutant['replace']} }} else {chained}"
        chained = out
    return out if block else f"({out})"


def spaced(text):
    """A pattern for `text`, spaced and wrapped in any way."""
    return r"\s+".join(re.escape(word) for word in text.split())


def question(mutant):
    return f'crate::broken("{mutant["name"]}")'
