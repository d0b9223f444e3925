#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From zero replicas: how long, in parts, and whether any request is lost.

  cold.py parts [--path NAME:NODE[:KEY=VALUE] ...]   one sleeping revision after another, the paths in turn
  cold.py lost  --requests N                         N requests, each of which finds a sleeping revision
  cold.py burst --services N [--path ...]            N sleeping revisions woken at once, the paths in turn

A path is the node whose network the client is in, and so whose agent serves it, and
an annotation of the Knative Service, if any.  With two agents that have other flags,
or another annotation, two ways of waking are measured in one run; the first path is
compared with each of the others.

The network's share of a request is all of it but the pod: from the request until the
Deployment is scaled, and from the moment at which both of the pod's sockets listen
(queue-proxy's and its program's) until 200.  Between these are the controllers of the
cluster, the scheduler, the node and the programs themselves.  Of the latter part one
piece is the node's and the API server's as well, and shown: the time until watchers
are told the pod's address, where its sockets listen before.
"""
import argparse
import collections
import multiprocessing
import statistics
import threading
import time

from kube import (DEPLOYMENTS, KSVCS, MODES, PODS, PUBLIC, api, ask, begin, condition, create, enter_node, ksvc,
                  outside, row, until)
from sockets import Listeners

PORTS = (8012, 8080)  # queue-proxy, the program
SLEEPY = {"initial-scale": 0, "window": "6s"}


class World:
    """What the API server says about pods, deployments and modes, as it says it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.pods = collections.defaultdict(dict)  # of a ksvc: name of the pod -> its times
        self.mode = {}
        self.scaled = {}
        self.since = {}
        api.watch(PODS, self.on_pod)
        api.watch(MODES, self.on_mode)
        api.watch(DEPLOYMENTS, self.on_deployment)

    def on_pod(self, kind, pod, now):
        owner = pod["metadata"].get("labels", {}).get("serving.knative.dev/service")
        name = pod["metadata"]["name"]
        with self.lock:
            if kind == "DELETED" or "deletionTimestamp" in pod["metadata"]:  # queue-proxy drains for 30 s
                self.pods[owner].pop(name, None)
                return
            times = self.pods[owner].setdefault(name, {"object": now, "uid": pod["metadata"]["uid"]})
            if pod.get("status", {}).get("podIP"):
                times.setdefault("address", now)
            if condition({"metadata": {}, "status": {"conditions": pod.get("status", {}).get("conditions", [])}}):
                times.setdefault("ready", now)

    def on_mode(self, kind, o, now):
        if kind != "DELETED":
            self.mode[o["metadata"]["name"].rsplit("-", 1)[0]] = o["spec"]["mode"]

    def on_deployment(self, kind, o, now):
        name = o["metadata"]["labels"].get("serving.knative.dev/service")
        if o["spec"].get("replicas"):
            self.scaled.setdefault(name, now)
        else:
            self.scaled.pop(name, None)

    def sleeps(self, name):
        """For a second, so that everyone who watches knows: a pod that drains may still answer before."""
        with self.lock:
            if self.pods[name] or self.mode.get(name) != "Proxy" or name in self.scaled:
                self.since.pop(name, None)
                return False
            return time.monotonic() - self.since.setdefault(name, time.monotonic()) > 1

    def started(self, name, began):
        """The times of the pod that was made after that."""
        with self.lock:
            new = [t for t in self.pods[name].values() if t["object"] > began]
        return min(new, key=lambda t: t["object"]) if new else None


def make(names, notes):
    for name in names:
        if not options.reuse or not api.get(f"{KSVCS}/{name}", missing=True):
            create(ksvc(name, annotations=SLEEPY, on=notes.get(name)), wait=False)
    for name in names:
        until(lambda: condition(api.get(f"{KSVCS}/{name}")), 240, 0.05, f"{name} is Ready")


def wake(name, node=1):
    """(status, seconds, whether the revision itself answered) of a request by a client on the node."""
    result = []

    def run():
        enter_node(node)
        began = time.time()
        status, body = ask(options.address, outside(name), timeout=options.timeout)
        result.append((status, began, time.time(), f'"{name}"'.encode() in body, body))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return result[0]


def serve(pipe):
    """A process for the client: what watches the API server takes none of its time."""
    while True:
        pipe.send(wake(*pipe.recv()))


def paths_of():
    """(name, node, annotations, names of its Knative Services) of each path; they are made."""
    found = []
    for text in options.path:
        name, node, *note = text.split(":")
        found.append((name, int(node), dict([note[0].split("=", 1)]) if note else {},
                      [f"{name}-{i}" for i in range(options.services)]))
    make([n for p in found for n in p[3]], {n: p[2] for p in found for n in p[3]})
    return found


def compare(figures, what):
    """The first path with each of the others."""
    (first, f), *others = figures.items()
    for other, o in others:
        for key in what:
            for text, q in (("median", .5), ("p99", .99)):
                a, b = (sorted(v)[int(q * len(v))] for v in (f[key], o[key]))
                print(f"{key.strip()}, {text}: {first} {a / b:.2f} x {other}", flush=True)


def listens(listeners, pod):
    """When the last of its sockets began to; None: not yet."""
    ports = listeners.times[pod["uid"]]
    return max(ports.values()) if len(ports) == len(PORTS) else None


TOTAL = "request -> 200"
SHARE = "network's share"
ADDRESS = "    of which until the API server tells the address"
WIDER = "  with the controllers: all but pod object -> sockets listen"


def parts():
    client, pipe = multiprocessing.get_context("fork").Pipe()
    multiprocessing.get_context("fork").Process(target=serve, args=(pipe,), daemon=True).start()
    paths = paths_of()
    world = World()
    listeners = Listeners(PORTS)
    figures = {p[0]: collections.defaultdict(list) for p in paths}
    failed = 0
    for turn in range(options.rounds + 1):
        for i in range(options.services):
            for path, node, _, names in paths if (turn + i) % 2 else reversed(paths):
                name = names[i]
                until(lambda: world.sleeps(name), 180, 0.02, f"{name} sleeps")
                client.send((name, node))
                status, began, ended, own, body = client.recv()
                if status != 200 or not own:
                    failed += 1
                    print(f"{name}: {status} {body[:100]!r}", flush=True)
                    continue
                t = until(lambda: world.started(name, began), 60, 0.01, f"{name}: a pod")
                at = until(lambda: listens(listeners, t), 60, 0.01, f"{name}: its sockets listen")
                if turn == 0:  # the first start of a ksvc waits for the autoscaler's tick
                    continue
                scaled = world.scaled[name]
                f = figures[path]
                f[TOTAL].append(ended - began)
                f["  request -> Deployment scaled"].append(scaled - began)
                f["  Deployment scaled -> pod object"].append(t["object"] - scaled)
                f["  pod object -> sockets listen"].append(at - t["object"])
                f["  sockets listen -> 200"].append(ended - at)
                f[ADDRESS].append(max(min(t.get("address", ended), ended) - at, 0))
                f[SHARE].append(scaled - began + ended - at)
                f[WIDER].append(t["object"] - began + ended - at)
                time.sleep(options.rest)
    for path, f in figures.items():
        for name, values in f.items():
            row(f"{path}: {name}", values)
    compare(figures, (SHARE, WIDER, TOTAL))
    print(f"failed: {failed}")
    return failed


def lost():
    names = [f"sleeper-{i}" for i in range(options.services)]
    make(names, {})
    world = World()
    lock, times, bad, awake, early = threading.Lock(), [], [], [], []
    asked = [0]
    end = time.monotonic() + options.seconds

    def one(name):
        node = 1
        while True:
            with lock:
                if asked[0] == options.requests or time.monotonic() > end:
                    return
                asked[0] += 1
            until(lambda: world.sleeps(name), 300, 0.02, f"{name} sleeps")
            status, began, ended, own, body = wake(name, node)
            node = node % options.nodes + 1
            time.sleep(0.2)
            with lock:
                if status != 200 or not own:
                    bad.append(name)
                    print(f"lost: {name} {status} {body[:200]!r}", flush=True)
                else:
                    pod = world.started(name, began)
                    if not pod:
                        awake.append(name)  # found it awake: does not count
                        asked[0] -= 1
                        continue
                    if pod.get("ready", ended) >= ended:
                        early.append(name)
                times.append(ended - began)
                if len(times) % 100 == 0:
                    print(f"{len(times)} requests, {len(bad)} lost", flush=True)

    workers = [threading.Thread(target=one, args=(n,)) for n in names]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    row("a sleeping revision: request -> 200", times)
    print(f"requests {len(times)}, lost {len(bad)}; {len(early)} answered before the pod was seen Ready;"
          f" {len(awake)} more found it awake")
    is_short = len(times) != options.requests and time.monotonic() <= end
    return len(bad) or is_short or len(early) < options.early


def burst():
    paths = paths_of()
    world = World()
    figures = {p[0]: {TOTAL: []} for p in paths}
    lost = 0
    for _ in range(options.rounds):
        for path, node, _, names in paths:
            until(lambda: all(world.sleeps(n) for n in names), 300, 0.2, "all sleep")
            results = {}
            workers = [threading.Thread(target=lambda n: results.update({n: wake(n, node)}), args=(n,))
                       for n in names]
            for w in workers:
                w.start()
            for w in workers:
                w.join()
            bad = {n: r for n, r in results.items() if r[0] != 200 or not r[3]}
            for n, r in bad.items():
                print(f"lost: {n} {r[0]} {r[4][:200]!r}")
            lost += len(bad)
            figures[path][TOTAL] += [r[2] - r[1] for r in results.values()]
            row(f"{path}: {len(names)} at once: {TOTAL}", [r[2] - r[1] for r in results.values()])
            print(f"requests {len(results)}, lost {len(bad)}", flush=True)
    compare(figures, (TOTAL,))
    return lost


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("command", choices=["parts", "lost", "burst"])
parser.add_argument("--path", action="append", default=[], help="NAME:NODE[:KEY=VALUE] (default weir:1)")
parser.add_argument("--services", type=int, default=10)
parser.add_argument("--rounds", type=int, default=2)
parser.add_argument("--rest", type=float, default=1.2, help="parts: seconds after each, in which the cluster does what is left of it")
parser.add_argument("--requests", type=int, default=100)
parser.add_argument("--seconds", type=float, default=float("inf"), help="lost: begins no more after them")
parser.add_argument("--early", type=int, default=0, help="lost: at least as many before the pod is Ready")
parser.add_argument("--nodes", type=int, default=1, help="clients on that many nodes in turn")
parser.add_argument("--address", default=PUBLIC)
parser.add_argument("--timeout", type=float, default=300, help="of a request; Serving's own is 300")
parser.add_argument("--reuse", action="store_true", help="the Knative Services of an earlier run, where they are")
options = parser.parse_args()
options.path = options.path or ["weir:1"]
if not options.reuse:
    begin()
raise SystemExit(bool(globals()[options.command]()))
