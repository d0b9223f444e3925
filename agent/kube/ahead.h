/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of this node's pods, ahead of the API server.
 *
 * A pod has its address before its containers start; the server is told after
 * that (kubelet: when its next look at the runtime has seen them, up to a
 * second later).  What the runtime's CNI plugins answered lies on the node in a
 * file for each network of a pod (containernetworking/cni, libcni/api.go
 * cacheAdd: "cniCacheV1"), from before the containers start until the network
 * is taken down.  So a request that waits for a sleeping revision finds its pod
 * as soon as it listens.
 *
 * The agents of other nodes may have such a request, too: each says with its
 * Lease which pods start on its node, and where (lease.h).
 *
 * Pure: who reads the files is daemon/kube_cni.c.
 */
#ifndef WEIR_KUBE_AHEAD_H
#define WEIR_KUBE_AHEAD_H

#include "addr.h"
#include "buf.h"

#define WEIR_AHEAD_NETS_MAX 4096   /* of one node: its pods, and what is left */
#define WEIR_AHEAD_PODS_MAX 1024   /* without an address at a time */
#define WEIR_AHEAD_OTHERS_MAX 4096 /* told by other agents */
#define WEIR_AHEAD_UID_MAX 64
#define WEIR_AHEAD_FILE_MAX ((size_t)256 << 10)

struct weir_ahead_net {
	uint64_t file;  /* hash of its name */
	uint64_t at_ns; /* written, by the wall clock */
	uint64_t pod;   /* hash of its UID */
	struct weir_ip ip;
};

struct weir_ahead_pod;

/* What another agent said. */
struct weir_ahead_other {
	uint64_t node; /* hash of its name */
	uint64_t pod;  /* of its UID */
	struct weir_ip ip;
};

struct weir_ahead {
	const char *node; /* this one; not owned */
	struct weir_ahead_net *nets;
	size_t n_nets;
	size_t cap_nets;
	struct weir_ahead_other *others;
	size_t n_others;
	size_t cap_others;
	struct weir_ahead_pod *pods;
	size_t n_pods;
	bool is_in_list; /* pods that wait may not be noted yet */
};

void weir_ahead_fini(struct weir_ahead *ahead);

/* What a file says: of the pod of which UID, and its address (IPv4 if it has
 * both, as containerd chooses).  Only .pod and .ip are set.  -EBADMSG: it is
 * none of a pod's first interface. */
int weir_ahead_read(struct weir_str text, struct weir_ahead_net *ret_net);
/* A file with this name is there, or is another now; where there are too many
 * it is in place of the oldest.  0; -EBADMSG, -ENOMEM: and what it said before
 * is forgotten. */
int weir_ahead_put(struct weir_ahead *ahead, struct weir_str file,
		   uint64_t at_ns, struct weir_str text);
void weir_ahead_drop(struct weir_ahead *ahead, struct weir_str file);
void weir_ahead_drop_all(struct weir_ahead *ahead);
/* Of the network made last for this pod on that node, as a sandbox that failed
 * is made anew; of another node as its agent said.  An address that was given
 * to another pod later is not its any more.  NULL: none is known. */
const struct weir_ip *weir_ahead_find(const struct weir_ahead *ahead,
				      struct weir_str node,
				      struct weir_str uid);

/* Appends what others may hear: "UID=ADDRESS,..." of the pods that are noted
 * and start on this node, as many as max bytes hold.  True if one of them is
 * news, or is not where it was said to be. */
bool weir_ahead_say(struct weir_ahead *ahead, size_t max, struct weir_buf *out);
/* What the agent of another node says of its own; what is not understood is
 * nothing.  0, -ENOSPC, -ENOMEM. */
int weir_ahead_hear(struct weir_ahead *ahead, struct weir_str node,
		    struct weir_str text);
/* What all others said is forgotten. */
void weir_ahead_hear_anew(struct weir_ahead *ahead);

/* A pod of a revision as the server tells it now: remembered while it is to
 * start on some node and has no address there.  0 or -ENOMEM. */
int weir_ahead_note(struct weir_ahead *ahead, struct weir_str object);
void weir_ahead_forget(struct weir_ahead *ahead, struct weir_str object);
void weir_ahead_forget_all(struct weir_ahead *ahead);
/* An object with as much of a pod as kube/trim.c needs, of one whose address is
 * another than when it was last told so; null: there is none (any more).  Valid
 * until the pod is forgotten. */
struct weir_str weir_ahead_changed(struct weir_ahead *ahead);

#endif
