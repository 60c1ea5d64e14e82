"""What came of it."""

import pathlib
import re


def report(mutants, outcomes, broken, verbose):
    width = max(len(mutant["name"]) for mutant in mutants)
    survivors = 0
    for mutant in mutants:
        outcome = outcomes[mutant["name"]]
        missed = [test for test, (result, _) in outcome.items() if result == "ok"]
        void = [test for test in outcome if test in broken]
        verdict = "SURVIVED" if missed else "void" if void else "noticed"
        survivors += verdict != "noticed"
        print(f"{mutant['name']:{width}}  {verdict:8}  {', '.join(mutant['rules'])}")
        for test, (result, reason) in outcome.items():
            if verbose or test in missed or test in void or result in ("hangs", "dies"):
                note = "fails without it too" if test in void else result
                print(f"{'':{width}}    {note}: {test}" + (f"\n{'':{width}}      {reason}" if reason else ""))
    for test, (result, reason) in broken.items():
        print(f"without any mutant: {result}: {test} {reason}")
    return survivors


def uncovered(rules_file, mutants, families):
    """The MUST rules of these families that no mutant breaks."""
    row = re.compile(r"^\|\s*([A-Z]+-\d+)\s*\|(.*?)\|\s*MUST\s*\|", re.M)
    covered = {rule for mutant in mutants for rule in mutant["rules"]}
    must = [(rule, text.strip()) for rule, text in row.findall(pathlib.Path(rules_file).read_text())
            if rule.split("-")[0].lower() in families]
    missing = [(rule, text) for rule, text in must if rule not in covered]
    print(f"\n{len(must) - len(missing)} of {len(must)} MUST rules have a mutant")
    for rule, text in missing:
        print(f"  without: {rule}  {text}")
