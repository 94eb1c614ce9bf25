"""Checks events of OpenLineage, one JSON object per line of standard input, with the classes that the official client generates
from the specification. Prints a line for each thing that is wrong. PYTHONPATH has openlineage-python."""
import datetime
import importlib
import json
import pkgutil
import sys
import typing
import uuid

import attr
import openlineage.client.event_v2 as event_v2
import openlineage.client.generated as generated

RUN_EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
wrong = []


def facet_classes():
    """All facets by the address of their schema."""
    found = {}
    for module in pkgutil.iter_modules(generated.__path__):
        for item in vars(importlib.import_module("openlineage.client.generated." + module.name)).values():
            if isinstance(item, type) and attr.has(item) and hasattr(item, "_get_schema"):
                try:
                    found[item._get_schema()] = item
                except NotImplementedError:
                    pass
    return found


FACETS = facet_classes()


def check(kind, value, where):
    """Whether a value is of a type, as deep as it goes."""
    origin = typing.get_origin(kind)
    if kind is typing.Any:
        return
    if origin is typing.Union or str(origin) == "<class 'types.UnionType'>":
        options = [k for k in typing.get_args(kind) if k is not type(None)]
        if value is None:
            return
        return check(options[0], value, where)
    if origin in (list, typing.List):
        if not isinstance(value, list):
            wrong.append(f"{where} is no list")
            return
        for i, item in enumerate(value):
            check(typing.get_args(kind)[0], item, f"{where}[{i}]")
    elif origin in (dict, typing.Dict):
        if not isinstance(value, dict):
            wrong.append(f"{where} is no object")
            return
        for name, item in value.items():
            check(typing.get_args(kind)[1], item, f"{where}.{name}")
    elif isinstance(kind, type) and attr.has(kind):
        check_object(kind, value, where)
    elif isinstance(kind, type) and kind in (str, int, float, bool):
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            wrong.append(f"{where} is no {kind.__name__}: {value!r}")


def check_object(kind, value, where):
    """An object has the members of its class and no others."""
    if not isinstance(value, dict):
        wrong.append(f"{where} is no object")
        return
    hints = typing.get_type_hints(kind)
    members = {f.name: f for f in attr.fields(kind) if f.name not in ("_producer", "_schemaURL")}
    for name, field in members.items():
        if name in value:
            check(hints[name], value[name], f"{where}.{name}")
        elif field.default is attr.NOTHING:
            wrong.append(f"{where}.{name} is missing")
    for name in value:
        if name not in members and name not in ("_producer", "_schemaURL"):
            wrong.append(f"{where}.{name} is not in the specification")


def check_facets(facets, where):
    """Every facet says who made it, and is what its schema says."""
    for name, facet in facets.items():
        place = f"{where}.{name}"
        if ":" not in facet.get("_producer", ""):
            wrong.append(f"{place} has no producer")
        kind = FACETS.get(facet.get("_schemaURL"))
        if kind is None:
            wrong.append(f"{place} has an unknown schema: {facet.get('_schemaURL')}")
        else:
            check_object(kind, facet, place)


def check_event(event):
    """A whole event."""
    where = f"{event['job']['name']} {event['eventType']}"
    if set(event) != {"eventType", "eventTime", "producer", "schemaURL", "run", "job", "inputs", "outputs"}:
        wrong.append(f"{where}: members {sorted(event)}")
    if event["schemaURL"] != RUN_EVENT:
        wrong.append(f"{where}: schema {event['schemaURL']}")
    event_v2.RunState[event["eventType"]]
    moment = datetime.datetime.fromisoformat(event["eventTime"].replace("Z", "+00:00"))
    number = uuid.UUID(event["run"]["runId"])
    if number.version != 7 or abs((number.int >> 80) / 1000 - moment.timestamp()) > 86400:
        wrong.append(f"{where}: run {number} is not of its time")
    for part in (event["job"], *event["inputs"], *event["outputs"]):
        if not part["namespace"] or not part["name"]:
            wrong.append(f"{where}: a name is empty")
    event_v2.RunEvent(
        eventType=event_v2.RunState[event["eventType"]], eventTime=event["eventTime"], producer=event["producer"],
        run=event_v2.Run(runId=event["run"]["runId"]), job=event_v2.Job(namespace=event["job"]["namespace"], name=event["job"]["name"]))
    check_facets(event["run"].get("facets", {}), f"{where}: run")
    check_facets(event["job"].get("facets", {}), f"{where}: job")
    for side, special in (("inputs", "inputFacets"), ("outputs", "outputFacets")):
        for dataset in event[side]:
            place = f"{where}: {dataset['name']}"
            if not set(dataset) <= {"namespace", "name", "facets", special}:
                wrong.append(f"{place}: members {sorted(dataset)}")
            check_facets(dataset.get("facets", {}), place)
            check_facets(dataset.get(special, {}), place)


for line in sys.stdin:
    check_event(json.loads(line))
for text in wrong:
    print(text)
