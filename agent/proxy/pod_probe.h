/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks pods whether they serve, as Knative's activator does (serving
 * activator/net/revision_backends.go): queue-proxy answers for its container,
 * before the kubelet has asked and all its watchers have heard.
 *
 * A queue-proxy that waits for its container looks every 50 ms whether it
 * listens (serving queue/readiness/probe.go, retryInterval).  Where that is all
 * that it looks for, weir looks too, more often: a port of the pod's that
 * refused and then accepts is its program's, as an answer would say later.  One
 * that never refused says nothing: something else may accept for all ports.
 */
#ifndef WEIR_PROXY_POD_PROBE_H
#define WEIR_PROXY_POD_PROBE_H

#include "loop.h"
#include "revision.h"

/* At a time; queue-proxy keeps an answer back while its container starts. */
#define WEIR_POD_PROBES 256

struct weir_pod_probes;

/* What is looked through each time. */
struct weir_pod_probe_key {
	struct weir_rev *rev; /* NULL: not in use */
	uint64_t pod;
	uint64_t due_ms;
};

struct weir_pod_probe {
	struct weir_io io;
	struct weir_pod_probes *all;
	struct weir_pod_probe_key *key;
	struct weir_ip addr;
	__be16 port_be;
	int fd; /* of no meaning while not in use */
	bool is_sent;
	bool has_refused; /* the program's port */
	bool is_vain;     /* it accepted and had not refused */
	int program_fd;   /* -1: is not being tried */
	struct weir_io program;
	uint32_t n_in;
	char in[512];
};

struct weir_pod_probes {
	struct weir_loop *loop;
	void (*on_early)(void *arg); /* one said yes */
	void *arg;
	uint32_t n;
	struct weir_pod_probe_key keys[WEIR_POD_PROBES];
	struct weir_pod_probe v[WEIR_POD_PROBES];
};

void weir_pod_probes_init(struct weir_pod_probes *probes,
			  struct weir_loop *loop);
void weir_pod_probes_fini(struct weir_pod_probes *probes);
/* Asks that pod of rev, unless it is being asked or as many are; it is given up
 * unless it is connected within connect_ms.  One that has been asked and has
 * not answered is tried at its program's port, unless that is 0. */
void weir_pod_probe_begin(struct weir_pod_probes *probes, struct weir_rev *rev,
			  const struct weir_endpoint *endpoint,
			  __be16 program_be, uint32_t connect_ms);
/* Gives up those that take too long.  Wants to be called every few ms while n
 * is not 0. */
void weir_pod_probes_expire(struct weir_pod_probes *probes);

#endif
