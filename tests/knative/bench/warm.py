#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A warm cluster-local call: what each way costs, round after round in turn.

  direct      the pod's queue-proxy, by its address
  connection  the Route's own address, weir.dev/split: connection (the connect plane)
  request     the Route's own address, decided per request (this node's proxy)
  activator   the same, with Serving's activator in the path (target-burst-capacity -1,
              weir.dev/activation: activator)

Requests a second on 16 connections that stay, new connections a second (a request
each), and the CPU time a request of each part.  The client is on node --client, the
pods are where the scheduler puts them; all share this machine's cores.

Bar: connection is at least 0.95 of direct, in both.  Ends with status 1 where it is not,
or a request failed; direct and connection call the same pod.
"""
import argparse
import json
import os
import statistics
import subprocess

from kube import (KSVCS, MODES, NAMESPACE, api, begin, cgroups, cpu_of_containers, cpu_of_process, create, enter_node,
                  ksvc, nodes, until, weir_processes, PODS)

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--rounds", type=int, default=20, help="many short ones: what else runs hits all ways alike")
parser.add_argument("--seconds", type=float, default=0.6)
parser.add_argument("--ways", default="direct,connection,request,activator", help="direct is always among them")
parser.add_argument("--connections", type=int, default=16)
parser.add_argument("--client", type=int, default=1, help="node of the client")
parser.add_argument("--load", default=os.environ["WEIR_BUILD"] + "/tests/weir-load")
options = parser.parse_args()


def to_node():
    group = f"{cgroups()}/node-{options.client}/system/bench"
    os.makedirs(group, exist_ok=True)
    with open(f"{group}/cgroup.procs", "w") as f:
        f.write(str(os.getpid()))
    enter_node(options.client)


def load(url, connect, keepalive):
    command = [options.load, "-t", str(options.seconds), "-c", str(options.connections), "--connect", connect, url]
    r = json.loads(subprocess.run(command + ["--keepalive"] * keepalive, stdout=subprocess.PIPE, preexec_fn=to_node).stdout)
    return r


def cpu():
    used = cpu_of_containers()
    for n in nodes():
        for role, pid in weir_processes(n).items():
            used[f"weir {role}"] = used.get(f"weir {role}", 0) + cpu_of_process(pid)
    return used


def address(name):
    return api.get(f"/api/v1/namespaces/{NAMESPACE}/services/{name}")["spec"]["clusterIP"] + ":80"


begin()
one = {"min-scale": 1, "max-scale": 1}
create(ksvc("request", annotations={**one, "target-burst-capacity": 0}))
create(ksvc("connection", annotations={**one, "target-burst-capacity": 0}, on={"weir.dev/split": "connection"}))
create(ksvc("activator", annotations={**one, "target-burst-capacity": -1}, on={"weir.dev/activation": "activator"}))
for name, mode in (("request", "Serve"), ("connection", "Serve"), ("activator", "Proxy")):
    until(lambda: api.get(f"{MODES}/{name}-00001")["spec"]["mode"] == mode, 120, 0.1, f"{name}: {mode}")
pods = api.get(f"{PODS}?labelSelector=serving.knative.dev/service=connection")["items"]
ways = [("direct", f"{pods[0]['status']['podIP']}:8012"), ("connection", address("connection")),
        ("request", address("request")), ("activator", address("activator"))]
ways = [w for w in ways if w[0] == "direct" or w[0] in options.ways.split(",")]
results, failed = {}, 0
for turn in range(options.rounds + 1):
    for way, connect in ways if turn % 2 else reversed(ways):
        name = "connection" if way == "direct" else way
        for keepalive in (True, False):
            before = cpu()
            r = load(f"http://{name}.{NAMESPACE}.svc.cluster.local/", connect, keepalive)
            after = cpu()
            failed += r["failed"]
            if r["failed"]:
                print(f"# {way}: {r['errors']} {r['statuses']}", flush=True)
            if turn and r["completed"]:
                used = {k: (after[k] - before.get(k, 0)) / r["completed"] * 1e6 for k in after}
                results.setdefault((way, keepalive), []).append((r["completed"] / r["seconds"], r["latency_us"], used))
middle = lambda runs, f: statistics.median(f(r) for r in runs)
BAR, is_met = 0.95, True
for keepalive, text in ((True, "requests/s, connections that stay"), (False, "new connections/s")):
    print(text)
    base = results[("direct", keepalive)]
    for way, _ in ways:
        runs = results.get((way, keepalive))
        if not runs:
            print(f"  {way:11} nothing answered")
            continue
        ratio = statistics.median(r[0] / b[0] for r, b in zip(runs, base))
        is_met = is_met and (way != "connection" or ratio >= BAR)
        in_path = lambda k: k.startswith("weir") or k.endswith(("/queue-proxy", "/user-container")) or k == "activator/activator"
        total = middle(runs, lambda r: sum(v for k, v in r[2].items() if in_path(k)))
        parts = {k: middle(runs, lambda r: r[2].get(k, 0)) for k in runs[0][2]}
        shown = ", ".join(f"{k} {v:.0f}" for k, v in sorted(parts.items(), key=lambda kv: -kv[1]) if v >= 3)
        print(f"  {way:11} {middle(runs, lambda r: r[0]):8.0f}  of direct {ratio:5.3f}  p50 {middle(runs, lambda r: r[1]['p50']):6.0f}"
              f"  p99 {middle(runs, lambda r: r[1]['p99']):7.0f} us   CPU us each: {total:.0f} in the path; {shown}", flush=True)
print(f"failed {failed}; connection at least {BAR} of direct: {'met' if is_met else 'not met'}")
raise SystemExit(bool(failed) or not is_met)
