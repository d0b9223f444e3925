#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many Knative Services without pods: how soon one more is served and Ready; memory.

Creates N Knative Services with initial scale 0 (Serving makes N KIngresses), then K
KIngresses one by one to a revision that runs: created -> first 200, asked every 2 ms
at the public address on each node at once; created -> Ready, as a watch sees it.
"""
import argparse
import threading
import time

from kube import (KINGRESSES, KSVCS, NAMESPACE, PUBLIC, api, ask, begin, condition, create, enter_node, ksvc, memory,
                  nodes, outside, row, until, weir_processes)

CLASS = "weir.ingress.networking.knative.dev"
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--services", type=int, default=1000)
parser.add_argument("--count", type=int, default=20)
parser.add_argument("--address", default=PUBLIC)
parser.add_argument("--workers", type=int, default=4, help="creating at once")
parser.add_argument("--patience", type=float, default=1200, help="seconds for Serving to make the KIngresses")
parser.add_argument("--resume", action="store_true", help="with the Knative Services that an earlier run left")
options = parser.parse_args()
ready, added, lock = {}, {}, threading.Lock()


def on_kingress(kind, o, now):
    name = o["metadata"]["name"]
    if kind == "ADDED":
        added.setdefault(name, now)
    if kind != "DELETED" and condition(o):
        ready.setdefault(name, now)


def kingress(name):
    split = {"serviceNamespace": NAMESPACE, "serviceName": "backend-00001", "servicePort": 80, "percent": 100}
    rule = lambda visibility, *hosts: {"hosts": list(hosts), "visibility": visibility, "http": {"paths": [{"splits": [split]}]}}
    return {"apiVersion": "networking.internal.knative.dev/v1alpha1", "kind": "Ingress",
            "metadata": {"name": name, "namespace": NAMESPACE, "annotations": {"networking.knative.dev/ingress.class": CLASS}},
            "spec": {"httpOption": "Enabled", "rules": [rule("ExternalIP", outside(name))]}}


def one(name):
    """Seconds until the first 200 on each node, and until Ready."""
    served = {}

    def poll(n):
        enter_node(n)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if ask(options.address, outside(name), timeout=5)[0] == 200:
                served[n] = time.time()
                return
            time.sleep(0.002)

    pollers = [threading.Thread(target=poll, args=(n,)) for n in nodes()]
    began = time.time()
    api.call("POST", KINGRESSES, kingress(name))
    for p in pollers:
        p.start()
    for p in pollers:
        p.join()
    until(lambda: name in ready, 60, 0.002, f"{name} Ready")
    return sorted(t - began for t in served.values()), ready[name] - began


def alone(label, text):
    first, last, done = [], [], []
    for i in range(options.count):
        served, at = one(f"one-{label}-{i}")
        if len(served) != len(nodes()):
            print(f"# one-{label}-{i}: served on {len(served)} nodes only")
            continue
        first.append(served[0])
        last.append(served[-1])
        done.append(at)
        time.sleep(0.2)
    row(f"{text}: created -> 200 on the first node", first)
    row(f"{text}: created -> 200 on all nodes", last)
    row(f"{text}: created -> Ready", done)
    for i in range(options.count):
        api.delete(f"{KINGRESSES}/one-{label}-{i}")


def sizes(text):
    for n in nodes():
        parts = {role: memory(pid) for role, pid in weir_processes(n).items()}
        shown = ", ".join(f"{role} {rss:.1f} ({anon:.1f})" for role, (rss, anon) in sorted(parts.items()))
        both = sum(parts[r][0] for r in parts if r != "parent"), sum(parts[r][1] for r in parts if r != "parent")
        print(f"{text}: node {n}: RSS MiB (anonymous): {shown}; agent and proxy {both[0]:.1f} ({both[1]:.1f})", flush=True)


def make(some):
    for name in some:
        create(ksvc(name, annotations={"initial-scale": 0}), wait=False)


def populate():
    """Returns how many KIngresses are Ready in the end."""
    names = [f"s{i}" for i in range(options.services)]
    began = time.time()
    workers = [threading.Thread(target=make, args=(names[i::options.workers],)) for i in range(options.workers)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    made = time.time() - began
    try:
        until(lambda: all(n in ready for n in names), options.patience, 0.5)
    except TimeoutError:
        print("# Serving has not made all of them")
    done = [n for n in names if n in ready]
    print(f"{len(names)} Knative Services: all created after {made:.1f} s; {len(done)} KIngresses Ready"
          f" after {max(ready[n] for n in done) - began:.1f} s")
    row("  each KIngress: seen -> Ready", [ready[n] - added[n] for n in done])
    return len(done)


if options.resume:
    api.watch(KINGRESSES, on_kingress)
    time.sleep(2)
    others = len(ready) - 1
else:
    begin()
    create(ksvc("backend", annotations={"min-scale": 1, "max-scale": 1, "target-burst-capacity": 0}))
    api.watch(KINGRESSES, on_kingress)
    time.sleep(2)
    sizes("no others")
    alone("0", "0 others")
    others = populate()
    time.sleep(5)
sizes(f"{others} others")
alone(str(others), f"{others} others")
sizes(f"{others} others, after")
