#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From zero replicas: how long, in parts, and whether any request is lost.

  cold.py parts [--path NAME:NODE[:KEY=VALUE] ...]   one sleeping revision after another, the paths in turn
  cold.py lost  --requests N                         N requests, each of which finds a sleeping revision
  cold.py burst --services N                         N sleeping revisions woken at once

A path is the node whose network the client is in, and so whose agent serves it, and
an annotation of the Knative Service, if any.  With two agents that have other flags,
or another annotation, two ways of waking are measured in one run.
"""
import argparse
import collections
import threading
import time

from kube import (DEPLOYMENTS, KSVCS, MODES, PODS, PUBLIC, api, ask, begin, condition, create, enter_node, ksvc,
                  outside, row, until)

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
            times = self.pods[owner].setdefault(name, {"object": now})
            ip = pod.get("status", {}).get("podIP")
            if ip and "probed" not in times:
                times["probed"] = True
                threading.Thread(target=self.serves, args=(ip, times), daemon=True).start()
            if condition({"metadata": {}, "status": {"conditions": pod.get("status", {}).get("conditions", [])}}):
                times.setdefault("ready", now)

    @staticmethod
    def serves(ip, times):
        """Until its queue-proxy says that the program behind it is ready."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if ask(f"{ip}:8012", "probe", headers={"K-Network-Probe": "queue"}, timeout=1)[0] == 200:
                times["serves"] = time.time()
                return
            time.sleep(0.003)

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


def parts():
    paths = []
    for text in options.path:
        name, node, *note = text.split(":")
        paths.append((name, int(node), dict([note[0].split("=", 1)]) if note else {}))
    names = {p[0]: [f"{p[0]}-{i}" for i in range(options.services)] for p in paths}
    make([n for p in paths for n in names[p[0]]], {n: p[2] for p in paths for n in names[p[0]]})
    world = World()
    figures = {p[0]: collections.defaultdict(list) for p in paths}
    failed = 0
    for turn in range(options.rounds + 1):
        for i in range(options.services):
            for p in paths if (turn + i) % 2 else reversed(paths):
                name = names[p[0]][i]
                until(lambda: world.sleeps(name), 180, 0.02, f"{name} sleeps")
                status, began, ended, own, body = wake(name, p[1])
                if status != 200 or not own:
                    failed += 1
                    print(f"{name}: {status} {body[:100]!r}", flush=True)
                    continue
                if turn == 0:  # the first start of a ksvc waits for the autoscaler's tick
                    continue
                t = until(lambda: world.started(name, began), 60, 0.01, f"{name}: a pod")
                until(lambda: "serves" in t, 60, 0.01, f"{name}: its pod serves")
                f = figures[p[0]]
                f["request -> 200"].append(ended - began)
                f["  request -> pod object"].append(t["object"] - began)
                f["  pod object -> pod serves (8012)"].append(t["serves"] - t["object"])
                f["  pod serves -> 200"].append(ended - t["serves"])
                f["network share: all but pod object -> serves"].append(ended - began - (t["serves"] - t["object"]))
    for path, f in figures.items():
        for name, values in f.items():
            row(f"{path}: {name}", values)
    print(f"failed: {failed}")
    return failed


def lost():
    names = [f"sleeper-{i}" for i in range(options.services)]
    make(names, {})
    world = World()
    lock, times, bad, awake = threading.Lock(), [], [], []
    asked = [0]

    def one(name):
        node = 1
        while True:
            with lock:
                if asked[0] == options.requests:
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
                elif not world.started(name, began):
                    awake.append(name)  # found it awake: does not count
                    asked[0] -= 1
                    continue
                times.append(ended - began)
                if len(times) % 100 == 0:
                    print(f"{len(times)} requests, {len(bad)} lost", flush=True)

    workers = [threading.Thread(target=one, args=(n,)) for n in names]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    row("a sleeping revision: request -> 200", times)
    print(f"requests {len(times)}, lost {len(bad)}; {len(awake)} more found it awake")
    return len(bad) or len(times) != options.requests


def burst():
    names = [f"many-{i}" for i in range(options.services)]
    make(names, {})
    world = World()
    for turn in range(options.rounds):
        until(lambda: all(world.sleeps(n) for n in names), 300, 0.2, "all sleep")
        results = {}
        workers = [threading.Thread(target=lambda n: results.update({n: wake(n)}), args=(n,)) for n in names]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        bad = {n: r for n, r in results.items() if r[0] != 200 or not r[3]}
        for n, r in bad.items():
            print(f"lost: {n} {r[0]} {r[4][:200]!r}")
        row(f"{len(names)} at once: request -> 200", [r[2] - r[1] for r in results.values()])
        print(f"requests {len(results)}, lost {len(bad)}", flush=True)
        if bad:
            return 1
    return 0


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("command", choices=["parts", "lost", "burst"])
parser.add_argument("--path", action="append", default=[], help="NAME:NODE[:KEY=VALUE] (default weir:1)")
parser.add_argument("--services", type=int, default=10)
parser.add_argument("--rounds", type=int, default=2)
parser.add_argument("--requests", type=int, default=100)
parser.add_argument("--nodes", type=int, default=1, help="clients on that many nodes in turn")
parser.add_argument("--address", default=PUBLIC)
parser.add_argument("--timeout", type=float, default=300, help="of a request; Serving's own is 300")
options = parser.parse_args()
options.path = options.path or ["weir:1"]
begin()
raise SystemExit(bool(globals()[options.command]()))
