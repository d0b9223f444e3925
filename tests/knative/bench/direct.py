#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many KIngresses without Serving: how soon one more is served and Ready; memory.

Makes N of what Serving makes of a Knative Service (KIngress, placeholder with its
ClusterIP, Services of a revision with EndpointSlices), whose endpoint is one echo
server, then K more KIngresses one by one: created -> first 200, asked every 2 ms on
one node after the other at the private gateway; created -> Ready, as a watch sees it;
CPU time of each agent and proxy for one of them.
So the API server, the agents and the one who asks are all that works.
"""
import argparse
import os
import subprocess
import time

import many
from kube import KINGRESSES, NAMESPACE, api, begin, nodes, row, until

SERVICES = f"/api/v1/namespaces/{NAMESPACE}/services"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
GATEWAYS = "/api/v1/namespaces/weir-system/services"
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--services", type=int, default=1000)
parser.add_argument("--count", type=int, default=30)
parser.add_argument("--workers", type=int, default=4, help="creating at once")
parser.add_argument("--resume", action="store_true", help="with the KIngresses that an earlier run left")
parser.add_argument("--echo", required=True, help="weir-echo")
options = parser.parse_args()


def service(name, port="http", **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"ports": [{"name": port, "port": 80, "targetPort": 8080}], **spec}}


def revision(name):
    api.call("POST", SERVICES, service(f"{name}-00001", clusterIP="None"))
    api.call("POST", SLICES, {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": f"{name}-00001-x", "namespace": NAMESPACE,
                     "labels": {"kubernetes.io/service-name": f"{name}-00001"}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [os.environ["NODE_IP"]], "conditions": {"ready": True}}]})


def placeholder(name):
    o = service(name)
    o["metadata"]["labels"] = {"serving.knative.dev/route": name}
    api.call("POST", SERVICES, o)


def kingress(name, revision_of):
    split = {"serviceNamespace": NAMESPACE, "serviceName": f"{revision_of}-00001", "servicePort": 80, "percent": 100,
             "appendHeaders": {"Knative-Serving-Namespace": NAMESPACE, "Knative-Serving-Revision": f"{revision_of}-00001"}}
    inside = f"{name}.{NAMESPACE}"
    return many.kingress(name, split, [("ClusterLocal", [inside, f"{inside}.svc", f"{inside}.svc.cluster.local"]),
                                       ("ExternalIP", [f"{inside}.example.com"])])


def one(name, node, gateway):
    """Seconds until the first 200 on a node, and until Ready."""
    served = {}
    poller = many.poll(node, gateway, f"{name}.{NAMESPACE}", served)
    o = kingress(name, "backend")
    began = time.time()
    poller.start()
    api.call("POST", KINGRESSES, o)
    poller.join()
    until(lambda: name in many.ready, 60, 0.002, f"{name} Ready")
    return served[node] - began, many.ready[name] - began


def alone(label, text, gateway):
    served, done = [], []
    used = many.cpu()
    for i in range(options.count):
        s, r = one(f"one-{label}-{i}", nodes()[i % len(nodes())], gateway)
        served.append(s)
        done.append(r)
        time.sleep(0.3)
    row(f"{text}: created -> first 200", served)
    row(f"{text}: created -> Ready", done)
    many.cpu_since(used, options.count, f"{text}, each")
    for i in range(options.count):
        api.delete(f"{KINGRESSES}/one-{label}-{i}")


def make(some):
    for name in some:
        revision(name)
        placeholder(name)
        api.call("POST", KINGRESSES, kingress(name, name))


def populate(gateway):
    """Returns how many others there are then."""
    begin()
    revision("backend")
    many.watch()
    many.sizes_at_rest("no others")
    alone("0", "0 others", gateway)
    names = [f"s{i}" for i in range(options.services)]
    began = time.time()
    many.share(names, options.workers, make)
    made = time.time()
    until(lambda: all(n in many.ready for n in names), 600, 0.2, "all KIngresses Ready")
    print(f"{len(names)} KIngresses: all made after {made - began:.1f} s, all Ready after {max(many.ready[n] for n in names) - began:.1f} s")
    row("  each: seen -> Ready", [many.ready[n] - many.added[n] for n in names])
    return len(names)


def resume():
    many.watch()
    time.sleep(2)
    return len(many.ready)


gateway = api.get(f"{GATEWAYS}/knative-private")["spec"]["clusterIP"]
echo = subprocess.Popen([options.echo, "--name", "backend", f"http:{os.environ['NODE_IP']}:8080"])
try:
    others = resume() if options.resume else populate(gateway)
    many.sizes_at_rest(f"{others} others")
    alone(str(others), f"{others} others", gateway)
    many.sizes_at_rest(f"{others} others, after")
finally:
    echo.terminate()
