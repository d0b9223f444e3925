# SPDX-License-Identifier: Apache-2.0
"""The API server, Knative Services, requests and processes, for the programs here.

They run inside the cluster's network (tests/cluster/rig exec), which sets KUBECONFIG.
"""
import base64
import ctypes
import http.client
import json
import os
import re
import socket
import ssl
import statistics
import tempfile
import threading
import time

NAMESPACE = "bench"
KINGRESSES = f"/apis/networking.internal.knative.dev/v1alpha1/namespaces/{NAMESPACE}/ingresses"
MODES = f"/apis/networking.internal.knative.dev/v1alpha1/namespaces/{NAMESPACE}/serverlessservices"
KSVCS = f"/apis/serving.knative.dev/v1/namespaces/{NAMESPACE}/services"
REVISIONS = f"/apis/serving.knative.dev/v1/namespaces/{NAMESPACE}/revisions"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
PUBLIC = os.environ.get("KNATIVE_PUBLIC", "10.240.0.192")
MERGE = "application/merge-patch+json"


class Api:
    """Safe for threads: each has a connection of its own."""

    def __init__(self):
        if "KUBECONFIG" not in os.environ:  # --help
            return
        with open(os.environ["KUBECONFIG"]) as f:
            text = f.read()
        self.host = re.search(r"server: \"?https://([^\"\s,}]+)", text).group(1)
        self.context = ssl.create_default_context(
            cadata=self._data(text, "certificate-authority").decode())
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(self._data(text, "client-certificate") + b"\n" + self._data(text, "client-key"))
            pem.flush()
            self.context.load_cert_chain(pem.name)
        self.own = threading.local()

    @staticmethod
    def _data(text, key):
        return base64.b64decode(re.search(key + r"-data: \"?([A-Za-z0-9+/=]+)", text).group(1))

    def open(self):
        return http.client.HTTPSConnection(self.host, context=self.context, timeout=600)

    def call(self, method, path, body=None, kind="application/json", missing=False):
        """The answer as an object; None where missing is allowed and it is 404."""
        deadline = time.monotonic() + 60
        while True:
            try:
                if getattr(self.own, "connection", None) is None:
                    self.own.connection = self.open()
                c = self.own.connection
                c.request(method, path, None if body is None else json.dumps(body), {"Content-Type": kind})
                r = c.getresponse()
                text = r.read()
            except (OSError, http.client.HTTPException):
                self.own.connection = None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
                continue
            if missing and r.status == 404:
                return None
            # Of the same name and still going, a webhook that starts, too many at once.
            if r.status in (409, 429, 500) and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            if r.status >= 300:
                raise RuntimeError(f"{method} {path}: {r.status} {text[:300]!r}")
            return json.loads(text)

    def get(self, path, missing=False):
        return self.call("GET", path, missing=missing)

    def patch(self, path, body):
        return self.call("PATCH", path, body, MERGE)

    def delete(self, path):
        return self.call("DELETE", path, missing=True)

    def watch(self, path, seen, query=""):
        """Calls seen(type, object, time) for what there is and for every event after, in a thread."""
        listed = self.get(f"{path}?{query}")
        for o in listed["items"]:
            seen("ADDED", o, time.time())
        threading.Thread(target=self._follow, daemon=True,
                         args=(path, seen, query, listed["metadata"]["resourceVersion"])).start()

    def _follow(self, path, seen, query, version):
        while True:
            c = self.open()
            c.request("GET", f"{path}?watch=1&resourceVersion={version}&allowWatchBookmarks=true&{query}")
            for line in c.getresponse():
                now = time.time()
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise RuntimeError(event)
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    seen(event["type"], event["object"], now)


api = Api()


def begin():
    """The namespace of the run, empty."""
    for path in (KSVCS, KINGRESSES):
        for o in (api.get(path, missing=True) or {"items": []})["items"]:
            api.delete(f"{path}/{o['metadata']['name']}")
    if not api.get(f"/api/v1/namespaces/{NAMESPACE}", missing=True):
        api.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    for path in (KINGRESSES, REVISIONS, PODS):  # in the end the garbage collector took them
        until(lambda: not (api.get(path, missing=True) or {"items": []})["items"], 180, 0.2, f"{path} of an earlier run are gone")


def condition(o, kind="Ready"):
    """Is it true, of the present generation."""
    status = o.get("status", {})
    generation = o["metadata"].get("generation")
    if status.get("observedGeneration", generation) != generation:
        return False
    return any(c["type"] == kind and c["status"] == "True" for c in status.get("conditions", []))


def until(what, seconds=120, pause=0.05, text=""):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = what()
        if value:
            return value
        time.sleep(pause)
    raise TimeoutError(f"not within {seconds} s: {text or what}")


def row(name, values, unit="ms", scale=1000):
    if not values:
        print(f"{name:46} n=0", flush=True)
        return
    v = sorted(x * scale for x in values)
    p = lambda q: v[min(len(v) - 1, int(q * len(v)))]
    print(f"{name:46} n={len(v):<5} median {statistics.median(v):8.1f}  p90 {p(.9):8.1f}"
          f"  p99 {p(.99):8.1f}  max {v[-1]:8.1f} {unit}", flush=True)


def ksvc(name, echo=None, annotations=None, on=None, concurrency=None):
    """A Knative Service; its program answers with echo (default: name). on: annotations of the Service itself."""
    notes = {f"autoscaling.knative.dev/{k}": str(v) for k, v in (annotations or {}).items()}
    spec = {"containers": [{"image": "weir.test/tools", "args": ["--name", echo or name, "http:0.0.0.0:8080"],
                            "ports": [{"containerPort": 8080}]}]}
    if concurrency is not None:
        spec["containerConcurrency"] = concurrency
    return {"apiVersion": "serving.knative.dev/v1", "kind": "Service",
            "metadata": {"name": name, "namespace": NAMESPACE, "annotations": on or {}},
            "spec": {"template": {"metadata": {"annotations": notes}, "spec": spec}}}


def create(o, wait=True):
    name = o["metadata"]["name"]
    api.call("POST", KSVCS, o)
    if wait:
        until(lambda: condition(api.get(f"{KSVCS}/{name}")), 120, 0.02, f"{name} is Ready")


def ask(address, host, path="/", headers=None, timeout=60):
    """One request on a connection of its own: (status, body); status 0 where none came."""
    try:
        c = http.client.HTTPConnection(address, timeout=timeout)
        c.request("GET", path, headers={"Host": host, **(headers or {})})
        r = c.getresponse()
        body = r.read()
        c.close()
        return r.status, body
    except (OSError, http.client.HTTPException) as e:
        return 0, str(e).encode()


def outside(name):
    """Host of a Knative Service, for clients outside."""
    return f"{name}.{NAMESPACE}.example.com"


def enter_node(n):
    """This thread's sockets are from now on those of node n."""
    libc = ctypes.CDLL(None, use_errno=True)
    cluster = os.environ["CLUSTER"]
    path = f"/run/netns/{cluster}" if n == 1 else f"/run/netns/{cluster}.node-{n}"
    fd = os.open(path, os.O_RDONLY)
    if libc.setns(fd, 0x40000000):
        raise OSError(ctypes.get_errno(), path)
    os.close(fd)


def cgroups():
    """The cluster's cgroup; of each node, system/<program> and kubepods/pod<uid>/<container> are below."""
    with open("/proc/mounts") as f:
        root = next(line.split()[1] for line in f if line.split()[2] == "cgroup2")
    return f"{root}/{os.environ['CLUSTER']}"


def nodes():
    return sorted(int(d[5:]) for d in os.listdir(cgroups()) if re.fullmatch(r"node-\d+", d))


def processes(group):
    with open(f"{group}/cgroup.procs") as f:
        return [int(p) for p in f.read().split()]


def weir_processes(node):
    """pid by role, of the agent of a node."""
    found = {}
    for d, _, files in os.walk(f"{cgroups()}/node-{node}"):
        for pid in processes(d) if "cgroup.procs" in files else []:
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"weir-agent") or b"--role=proxy" in words or b"--role=agent" in words:
                role = next((w[7:].decode() for w in words if w.startswith(b"--role=")), "parent")
                found[role] = pid
    return found


def memory(pid):
    """RSS, its anonymous part, and PSS, MiB."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        kib = dict(re.findall(r"^(Rss|Anonymous|Pss):\s+(\d+)", f.read(), re.MULTILINE))
    return tuple(int(kib[k]) / 1024 for k in ("Rss", "Anonymous", "Pss"))


def cpu_of_process(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_of_containers():
    """Seconds so far, by 'ksvc or deployment/container'."""
    used = {}
    for namespace in (NAMESPACE, "knative-serving"):
        for pod in api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]:
            labels = pod["metadata"].get("labels", {})
            owner = labels.get("serving.knative.dev/service") or labels.get("app") or pod["metadata"]["name"]
            for c in pod["spec"]["containers"]:
                file = (f"{cgroups()}/{pod['spec'].get('nodeName')}/kubepods/pod{pod['metadata']['uid']}"
                        f"/{c['name']}/cpu.stat")
                if os.path.exists(file):
                    with open(file) as f:
                        usec = int(re.search(r"usage_usec (\d+)", f.read()).group(1))
                    key = f"{owner}/{c['name']}"
                    used[key] = used.get(key, 0) + usec / 1e6
    return used
