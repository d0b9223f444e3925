# SPDX-License-Identifier: Apache-2.0
"""What direct.py and scale.py share: many KIngresses, and one more among them."""
import threading
import time

from kube import (KINGRESSES, NAMESPACE, api, ask, condition, cpu_of_process, enter_node, memory, nodes, row,
                  weir_processes)

CLASS = "weir.ingress.networking.knative.dev"
ready, added = {}, {}  # name -> seconds since the epoch, of when a watch saw it


def _on_kingress(kind, o, now):
    name = o["metadata"]["name"]
    if kind == "ADDED":
        added.setdefault(name, now)
    if kind != "DELETED" and condition(o):
        ready.setdefault(name, now)


def watch():
    api.watch(KINGRESSES, _on_kingress)


def kingress(name, split, rules):
    """rules: (visibility, hosts); all of one path with one split."""
    return {"apiVersion": "networking.internal.knative.dev/v1alpha1", "kind": "Ingress",
            "metadata": {"name": name, "namespace": NAMESPACE, "annotations": {"networking.knative.dev/ingress.class": CLASS}},
            "spec": {"httpOption": "Enabled",
                     "rules": [{"hosts": hosts, "visibility": visibility, "http": {"paths": [{"splits": [split]}]}}
                               for visibility, hosts in rules]}}


def poll(node, address, host, served):
    """A thread that asks on a node every 2 ms, for a minute at most: served[node] is when it was answered 200."""
    def run():
        enter_node(node)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if ask(address, host, timeout=5)[0] == 200:
                served[node] = time.time()
                return
            time.sleep(0.002)

    return threading.Thread(target=run)


def share(names, workers, make):
    """make(some of the names), by that many threads."""
    threads = [threading.Thread(target=make, args=(names[i::workers],)) for i in range(workers)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def cpu():
    """Seconds so far, by (node, role)."""
    return {(n, role): cpu_of_process(pid) for n in nodes() for role, pid in weir_processes(n).items()}


def cpu_since(before, count, text):
    """Of each node, for one of count."""
    now = cpu()
    for role in ("agent", "proxy"):
        row(f"{text}: CPU of each {role}", [(now[k] - before[k]) / count for k in now if k[1] == role and k in before])


def sizes(text):
    for n in nodes():
        parts = {role: memory(pid) for role, pid in weir_processes(n).items()}
        shown = ", ".join(f"{role} {rss:.1f} ({anon:.1f})" for role, (rss, anon, _) in sorted(parts.items()))
        rss, anon, pss = (sum(p[i] for p in parts.values()) for i in range(3))
        print(f"{text}: node {n}: RSS MiB (anonymous): {shown}; all {rss:.1f} ({anon:.1f}), PSS {pss:.1f}", flush=True)


def sizes_at_rest(text):
    """As they are now, and when nothing has changed for a while (agent/README.md)."""
    sizes(f"{text}, at work")
    time.sleep(5)
    sizes(f"{text}, at rest")
