# Copyright (c) 2026 The etcd PMDA authors.
# SPDX-License-Identifier: GPL-2.0-or-later
"""A parser of Prometheus texts that has nothing in common with the agent's: slow, letter by letter, and strict."""

from collections import defaultdict
from fractions import Fraction

ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


def parse(text):
    """{family: [({label: value}, literal)]} of a text."""
    families = defaultdict(list)
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels, literal = parse_line(line)
            families[name].append((labels, literal))
    return dict(families)


def parse_line(line):
    """(family, labels, literal) of a sample."""
    name = line[:min(line.index(each) for each in "{ " if each in line)]
    rest = line[len(name):]
    if rest.startswith("{"):
        labels, rest = parse_labels(rest[1:])
    else:
        labels = {}
    return name, labels, rest.split()[0]


def parse_labels(text):
    """(labels, what comes after them)."""
    labels = {}
    while not text.startswith("}"):
        name, _, text = text.lstrip(", ").partition('="')
        value = ""
        while not text.startswith('"'):
            if text.startswith("\\"):
                value += ESCAPES[text[1]]
                text = text[2:]
            else:
                value += text[0]
                text = text[1:]
        labels[name] = value
        text = text[1:].lstrip(", ")
    return labels, text[1:]


def total(samples):
    """The sum of samples, exactly."""
    return sum(Fraction(literal) for _, literal in samples)


def grouped(samples, *names, **only):
    """{the values of these labels joined by slashes: sum} of the samples whose other labels are one of `only`."""
    groups = defaultdict(list)
    for labels, literal in samples:
        if all(labels.get(name) in allowed for name, allowed in only.items()):
            groups["/".join(labels[name] for name in names)].append((labels, literal))
    return {name: total(group) for name, group in groups.items()}
