#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many Knative Services without pods: how soon one more is served and Ready; memory.

Creates N Knative Services with initial scale 0 (Serving makes N KIngresses), then K
KIngresses one by one to a revision that runs: created -> first 200, asked every 2 ms
at the public address on each node at once; created -> Ready, as a watch sees it; CPU
time of each agent and proxy for one of them.
"""
import argparse
import time

import many
from kube import KINGRESSES, NAMESPACE, PUBLIC, api, begin, create, ksvc, nodes, outside, row, until

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--services", type=int, default=1000)
parser.add_argument("--count", type=int, default=20)
parser.add_argument("--address", default=PUBLIC)
parser.add_argument("--workers", type=int, default=4, help="creating at once")
parser.add_argument("--patience", type=float, default=1200, help="seconds for Serving to make the KIngresses")
parser.add_argument("--resume", action="store_true", help="with the Knative Services that an earlier run left")
options = parser.parse_args()


def one(name):
    """Seconds until the first 200 on each node, and until Ready."""
    split = {"serviceNamespace": NAMESPACE, "serviceName": "backend-00001", "servicePort": 80, "percent": 100}
    served = {}
    pollers = [many.poll(n, options.address, outside(name), served) for n in nodes()]
    began = time.time()
    api.call("POST", KINGRESSES, many.kingress(name, split, [("ExternalIP", [outside(name)])]))
    for p in pollers:
        p.start()
    for p in pollers:
        p.join()
    until(lambda: name in many.ready, 60, 0.002, f"{name} Ready")
    return sorted(t - began for t in served.values()), many.ready[name] - began


def alone(label, text):
    first, last, done = [], [], []
    used = many.cpu()
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
    many.cpu_since(used, options.count, f"{text}, each")
    for i in range(options.count):
        api.delete(f"{KINGRESSES}/one-{label}-{i}")


def make(some):
    for name in some:
        create(ksvc(name, annotations={"initial-scale": 0}), wait=False)


def populate():
    """Returns how many KIngresses are Ready in the end."""
    names = [f"s{i}" for i in range(options.services)]
    began = time.time()
    many.share(names, options.workers, make)
    made = time.time() - began
    try:
        until(lambda: all(n in many.ready for n in names), options.patience, 0.5)
    except TimeoutError:
        print("# Serving has not made all of them")
    done = [n for n in names if n in many.ready]
    print(f"{len(names)} Knative Services: all created after {made:.1f} s; {len(done)} KIngresses Ready"
          f" after {max(many.ready[n] for n in done) - began:.1f} s")
    row("  each KIngress: seen -> Ready", [many.ready[n] - many.added[n] for n in done])
    return len(done)


if options.resume:
    many.watch()
    time.sleep(2)
    others = len(many.ready) - 1
else:
    begin()
    create(ksvc("backend", annotations={"min-scale": 1, "max-scale": 1, "target-burst-capacity": 0}))
    many.watch()
    time.sleep(2)
    many.sizes_at_rest("no others")
    alone("0", "0 others")
    others = populate()
many.sizes_at_rest(f"{others} others")
alone(str(others), f"{others} others")
many.sizes_at_rest(f"{others} others, after")
