#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A rollout under keep-alive load: percents move every 2 s, then the old revision is deleted.

Clients outside (the public address) and inside (the Route's own address, from node 2)
send at a fixed rate on connections that stay.  Wanted: no failure, and in each step
shares within 2 points of the percents, from the step's KIngress being changed by Serving
to the next one's: what weir takes to follow is within the two points.
"""
import argparse
import json
import os
import signal
import subprocess
import time

from kube import (KINGRESSES, KSVCS, NAMESPACE, PUBLIC, REVISIONS, api, begin, cgroups, condition, create, enter_node,
                  ksvc, outside, until)

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, nargs="*", default=[10, 30, 50, 80, 100], help="percents of the new revision")
parser.add_argument("--seconds", type=float, default=2)
parser.add_argument("--rate", type=int, default=500, help="requests a second of each load")
parser.add_argument("--connections", type=int, default=8)
parser.add_argument("--load", default=os.environ["WEIR_BUILD"] + "/tests/weir-load")
parser.add_argument("--inside", type=int, default=2, help="node of the cluster-local client; 0: none")
options = parser.parse_args()


def traffic(percent):
    return [{"revisionName": "roll-00001", "percent": 100 - percent},
            {"revisionName": "roll-00002", "percent": percent}]


seen = []  # (percent of the new revision, when the KIngress first said so, when it was Ready with it)


def on_kingress(kind, o, now):
    if kind == "DELETED" or o["metadata"]["name"] != "roll":
        return
    splits = {s["serviceName"]: s["percent"] for s in o["spec"]["rules"][0]["http"]["paths"][0]["splits"]}
    percent = splits.get("roll-00002", 0)
    if not seen or seen[-1][0] != percent:
        seen.append([percent, now, None])
        for p in loads:
            p.send_signal(signal.SIGUSR1)
    if condition(o) and seen[-1][2] is None:
        seen[-1][2] = now


def holds(percent):
    return seen and seen[-1][0] == percent and seen[-1][2]


def load(label, url, connect, place):
    command = [options.load, "--label", label, "-t", "600", "-c", str(options.connections), "-r", str(options.rate),
               "--keepalive", "--failures", "--connect", connect, url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=place)


def to_client():
    fd = os.open(f"/run/netns/{os.environ['CLUSTER']}.client", os.O_RDONLY)
    import ctypes
    if ctypes.CDLL(None).setns(fd, 0x40000000):
        os._exit(1)


def to_node():
    group = f"{cgroups()}/node-{options.inside}/system/bench"
    os.makedirs(group, exist_ok=True)
    with open(f"{group}/cgroup.procs", "w") as f:
        f.write(str(os.getpid()))
    enter_node(options.inside)


begin()
loads = []
# Serving's own default, target-burst-capacity 211, would put the activator into the path of a revision with two pods.
notes = {"min-scale": 1, "target-burst-capacity": 0}
create(ksvc("roll", echo="old", annotations=notes))
second = ksvc("roll", echo="new", annotations=notes)
second["spec"]["traffic"] = traffic(0)
api.patch(f"{KSVCS}/roll", second)
until(lambda: condition(api.get(f"{KSVCS}/roll")) and condition(api.get(f"{REVISIONS}/roll-00002")), 90, 0.05, "both")
api.watch(KINGRESSES, on_kingress)
until(lambda: holds(0), 30)
host = outside("roll")
loads.append(load("outside", f"http://{host}/", f"{PUBLIC}:80", to_client))
if options.inside:
    vip = api.get(f"/api/v1/namespaces/{NAMESPACE}/services/roll")["spec"].get("clusterIP", "None")
    if vip != "None":
        loads.append(load("inside", f"http://roll.{NAMESPACE}.svc.cluster.local/", f"{vip}:80", to_node))
    else:
        raise SystemExit("the Route has no address of its own (weir.dev/private-mode: gateway?): --inside 0")
time.sleep(1)
took = []
for percent in options.steps:
    began = time.time()
    api.patch(f"{KSVCS}/roll", {"spec": {"traffic": traffic(percent)}})
    until(lambda: holds(percent), 30, 0.005, f"{percent} %")
    took.append((seen[-1][1] - began, seen[-1][2] - seen[-1][1]))
    time.sleep(max(0, options.seconds - (time.time() - began)))
api.patch(f"{KSVCS}/roll", {"spec": {"traffic": [{"revisionName": "roll-00002", "percent": 100}]}})
time.sleep(0.5)
for p in loads:
    p.send_signal(signal.SIGUSR1)
api.delete(f"{REVISIONS}/roll-00001")
until(lambda: not api.get(f"{REVISIONS}/roll-00001", missing=True), 60, 0.05)
time.sleep(options.seconds + 2)
print(f"each step, patched -> KIngress changed: {' '.join(f'{1000 * t[0]:.0f}' for t in took)} ms (Serving);"
      f" -> Ready: {' '.join(f'{1000 * t[1]:.0f}' for t in took)} ms")
bad = 0
wanted = [0, *options.steps, 100]
for p in loads:
    p.send_signal(signal.SIGTERM)
    r = json.loads(p.communicate()[0])
    print(f"{r['label']}: {r['completed']} requests on {r['connections']} connections, {r['failed']} failed {r['errors']},"
          f" statuses {r['statuses']}, p50 {r['latency_us']['p50']} p99 {r['latency_us']['p99']} us")
    bad += r["failed"]
    if len(r["phases"]) != len(wanted):
        print(f"  {len(r['phases'])} steps seen, not {len(wanted)}")
        bad += 1
    for percent, phase in zip(wanted, r["phases"]):
        n = {k: v["n"] for k, v in phase["backends"].items()}
        share = 100 * n.get("new", 0) / max(1, sum(n.values()))
        is_off = abs(share - percent) > 2 or phase["failed"] or not n
        bad += is_off
        print(f"  {percent:3} % wanted: {share:6.2f} % of {sum(n.values())}{', OFF' if is_off else ''}")
raise SystemExit(bool(bad))
