// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The connect plane: cgroup connect4/6, sendmsg4/6, recvmsg4/6, getpeername4/6
 * and sock_release.  Kernel floor 5.15.
 *
 * Decides once per connected socket (weir_sk) or per association of an
 * unconnected one (weir_udp), before the first packet.  An address that is not
 * in weir_fe costs one hash lookup and is never touched.
 */
#include "core.h"

/* Is this socket one that weir leaves alone?  Asked only about addresses that
 * weir takes, so that other traffic does not pay for it. */
static __always_inline bool is_bypassed(struct bpf_sock_addr *ctx)
{
	if (weir_conf.has_self) {
		__u32 tgid = bpf_get_current_pid_tgid() >> 32;
		__u32 zero = 0;
		struct weir_self *self = bpf_map_lookup_elem(&weir_self, &zero);

		for (int i = 0; self && i < WEIR_SELF_MAX; i++) {
			if (self->tgid[i] == tgid) {
				return true;
			}
		}
	}
	if (weir_conf.has_skipns) {
		__u64 cookie = bpf_get_netns_cookie(ctx);

		if (bpf_map_lookup_elem(&weir_skipns, &cookie)) {
			return true;
		}
	}
	if (weir_conf.skip_levels) {
		/* A pod's sockets live below the cgroup that was named. */
		for (__u32 level = 0; level < 32; level++) {
			__u64 id;

			if (!(weir_conf.skip_levels & (1u << level))) {
				continue;
			}
			id = bpf_get_current_ancestor_cgroup_id(level);
			if (id && bpf_map_lookup_elem(&weir_skipcg, &id)) {
				return true;
			}
		}
	}
	return false;
}

static __always_inline bool is_agent_netns(struct bpf_sock_addr *ctx)
{
	return bpf_get_netns_cookie(ctx) == weir_conf.netns_cookie;
}

/* Whose affinity: that of all sockets of a network namespace. */
static __always_inline __u64 netns_of(void *ctx)
{
	return bpf_get_netns_cookie(ctx);
}

/* What this socket cannot be given: an endpoint of the other family. */
static __always_inline bool is_other_family(const struct weir_fe_key *key,
					    const struct weir_choice *choice)
{
	return weir_ip_is_mapped(&key->addr) !=
	       weir_ip_is_mapped(&choice->addr);
}

/*
 * weir_choose() for a socket.  What the hook cannot do itself is left to the
 * proxy: through its prefix where the frontend has a place there and the socket
 * can reach it, else untouched, which for a local address is the relay as well.
 */
static __always_inline enum weir_verdict
choose_for_socket(struct bpf_sock_addr *ctx, const struct weir_fe *fe,
		  const struct weir_fe_key *key, struct weir_choice *choice)
{
	enum weir_verdict verdict = weir_choose(fe, key, WEIR_ROW_CONNECT,
						netns_of, ctx, choice);

	switch (verdict) {
	case WEIR_TO_ENDPOINT:
		if (!is_other_family(key, choice)) {
			return WEIR_TO_ENDPOINT;
		}
		break;
	case WEIR_REFUSE:
		if (weir_conf.has_retval) {
			return WEIR_REFUSE;
		}
		break;
	default:
		break;
	}
	if (verdict == WEIR_PASS || !choice->proxy || !is_agent_netns(ctx)) {
		return WEIR_PASS;
	}
	choice->ep_id = 0;
	choice->stat = 0;
	choice->gid = 0;
	weir_proxy_addr(&key->addr, choice->proxy, &choice->addr);
	choice->port_be = key->port_be;
	return WEIR_TO_PROXY;
}

/* 0: the system call fails, with ECONNREFUSED. */
static __always_inline int refuse(void)
{
	weir_count_event(WEIR_COUNT_CONNECT_REFUSED);
	if (weir_conf.has_retval) {
		bpf_set_retval(-ECONNREFUSED);
	}
	return 0;
}

/* The socket's earlier datagram association is over. */
static __always_inline void close_datagram(struct weir_sk *st)
{
	if (st->state & WEIR_SK_OPENED) {
		weir_count_closed(st->stat, st->ep_id);
	}
	st->state &= ~(WEIR_SK_OPENED | WEIR_SK_PICKED);
}

/* The socket goes where weir has no say: forget where it was sent before.  A
 * connected datagram socket may move on; a stream that failed has been
 * forgotten when it closed, if somebody watched. */
static __always_inline int pass_connect(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct weir_sk *st;

	if (!weir_conf.wants_storage || !sk) {
		return WEIR_PASS;
	}
	if (ctx->protocol == IPPROTO_TCP ? weir_conf.wants_accounting
					 : sk->state != BPF_TCP_ESTABLISHED) {
		return WEIR_PASS;
	}
	st = weir_conn_find(bpf_get_socket_cookie(ctx), sk);
	if (st && ctx->protocol == IPPROTO_UDP) {
		close_datagram(st);
	}
	if (st) {
		st->state &= ~WEIR_SK_PICKED;
	}
	return WEIR_PASS;
}

/* Puts what is now known of a socket in the place of what was. */
static __always_inline long
replace_conn(__u64 cookie, const struct weir_sk *fresh, __u8 proto)
{
	struct weir_sk *st = bpf_map_lookup_elem(&weir_conn, &cookie);

	if (st && proto == IPPROTO_UDP) {
		close_datagram(st);
	}
	return bpf_map_update_elem(&weir_conn, &cookie, fresh, BPF_ANY);
}

/* Keeps what getpeername, recvmsg and the accounting need to know. */
static __always_inline bool remember_connect(struct bpf_sock_addr *ctx,
					     const struct weir_fe_key *key,
					     const struct weir_choice *choice)
{
	struct weir_sk fresh = {
		.orig_addr = key->addr,
		.ep_addr = choice->addr,
		.orig_port_be = key->port_be,
		.ep_port_be = choice->port_be,
		.ep_id = choice->ep_id,
		.stat = choice->stat,
		.state = WEIR_SK_PICKED,
	};
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct bpf_sock *sk = ctx->sk;
	struct weir_sk *st;
	long r;

	if (!sk) {
		return false;
	}
	if (key->proto == IPPROTO_UDP && choice->stat) {
		fresh.state |= WEIR_SK_OPENED;
	}
	r = bpf_map_update_elem(&weir_conn, &cookie, &fresh, BPF_NOEXIST);
	if (r == -EEXIST) {
		/* It was connected before.  Whether it still is cannot be
		 * asked: connect(AF_UNSPEC) has no hook. */
		r = replace_conn(cookie, &fresh, key->proto);
	}
	if (r) {
		st = bpf_sk_storage_get(&weir_sk, sk, NULL,
					BPF_SK_STORAGE_GET_F_CREATE);
		if (!st) {
			return false;
		}
		if (key->proto == IPPROTO_UDP) {
			close_datagram(st);
		}
		fresh.state |= st->state & WEIR_SK_ASSOCS;
		*st = fresh;
	}
	if (fresh.state & WEIR_SK_OPENED) {
		weir_count_opened(fresh.stat, fresh.ep_id);
	}
	return true;
}

/* Decides for connect(); on WEIR_TO_* the choice is remembered. */
static __always_inline int take_connect(struct bpf_sock_addr *ctx,
					const struct weir_fe_key *key,
					struct weir_choice *choice)
{
	struct weir_fe *fe = weir_fe_find(key);
	enum weir_verdict verdict;

	if (!fe) {
		return pass_connect(ctx);
	}
	if (is_bypassed(ctx)) {
		weir_count_event(WEIR_COUNT_CONNECT_BYPASSED);
		return WEIR_PASS;
	}
	verdict = choose_for_socket(ctx, fe, key, choice);
	if (verdict == WEIR_PASS || verdict == WEIR_REFUSE) {
		pass_connect(ctx);
		return verdict;
	}
	if (weir_conf.wants_storage && !remember_connect(ctx, key, choice)) {
		weir_count_event(WEIR_COUNT_CONNECT_NOMEM);
		return WEIR_PASS;
	}
	weir_count_event(verdict == WEIR_TO_PROXY ? WEIR_COUNT_CONNECT_PROXIED
						  : WEIR_COUNT_CONNECT_PICKED);
	return verdict;
}

struct row_walk {
	__u32 first; /* slot */
	__u32 gid;
	__u32 is_found;
};

static __noinline long visit_slot(__u32 i, struct row_walk *walk)
{
	__u32 at = walk->first + i;
	struct weir_slot *slot = bpf_map_lookup_elem(&weir_row, &at);

	walk->is_found = slot && slot->group == walk->gid;
	return !slot || walk->is_found;
}

/* Does the row still give a share to group gid? */
static __noinline bool row_has_group(__u32 first, __u32 gid)
{
	struct weir_row_hdr *row = bpf_map_lookup_elem(&weir_row, &first);
	struct row_walk walk = {.first = first + 1, .gid = gid};
	__u32 n = row ? row->n : 0;

	if (weir_conf.has_loop) {
		bpf_loop(n, visit_slot, &walk, 0);
		return walk.is_found;
	}
	for (__u32 i = 0; i < WEIR_ROW_SLOTS_MAX && i < n; i++) {
		if (visit_slot(i, &walk)) {
			break;
		}
	}
	return walk.is_found;
}

/* May the remembered pick still be used?  A new row keeps the associations
 * whose group it still names. */
static __always_inline bool is_pick_valid(const struct weir_fe *fe,
					  struct weir_udp_val *val)
{
	__u32 fid = fe->fid;
	struct weir_index *svcp = bpf_map_lookup_elem(&weir_svc, &fid);
	struct weir_index svc;

	if (!svcp || val->fid != fid ||
	    !weir_ep_is_alive(val->ep_id, val->ep_gen)) {
		return false;
	}
	svc = weir_index_load(svcp);
	if (svc.n != val->generation) {
		if (!val->gid || !row_has_group(svc.first, val->gid)) {
			return false;
		}
		val->generation = svc.n;
	}
	return true;
}

/* Remembers an association both ways. */
static __always_inline bool remember_pick(struct bpf_sock_addr *ctx,
					  struct weir_udp_key *k,
					  const struct weir_choice *choice)
{
	struct weir_udp_val v = {
		.addr = choice->addr,
		.port_be = choice->port_be,
		.ep_id = choice->ep_id,
		.ep_gen = weir_ep_generation(choice->ep_id),
		.generation = choice->generation,
		.gid = choice->gid,
		.stat = choice->stat,
		.fid = choice->fid,
		.seen_ns = bpf_ktime_get_coarse_ns(),
	};
	struct weir_udp_key back = {
		.cookie = k->cookie,
		.addr = choice->addr,
		.port_be = choice->port_be,
		.dir = 1,
	};
	struct weir_sk *st = bpf_sk_storage_get(&weir_sk, ctx->sk, NULL,
						BPF_SK_STORAGE_GET_F_CREATE);

	if (!st || weir_lru_put(&weir_udp, k, &v, BPF_ANY)) {
		return false;
	}
	v.addr = k->addr;
	v.port_be = k->port_be;
	weir_lru_put(&weir_udp, &back, &v, BPF_ANY);
	if (!(st->state & WEIR_SK_PICKED)) {
		/* For sock_release; a hint when there are several. */
		st->orig_addr = k->addr;
		st->orig_port_be = k->port_be;
	}
	st->state |= WEIR_SK_ASSOCS;
	return true;
}

/* Decides for one datagram of an unconnected socket. */
static __always_inline int take_send(struct bpf_sock_addr *ctx,
				     const struct weir_fe_key *key,
				     struct weir_choice *choice)
{
	struct weir_fe *fe = weir_fe_find(key);
	enum weir_verdict verdict;
	struct weir_udp_val *val;
	struct weir_udp_key k = {};

	if (!fe) {
		return WEIR_PASS;
	}
	if (is_bypassed(ctx)) {
		weir_count_event(WEIR_COUNT_CONNECT_BYPASSED);
		return WEIR_PASS;
	}
	k.cookie = bpf_get_socket_cookie(ctx);
	k.addr = key->addr;
	k.port_be = key->port_be;
	val = bpf_map_lookup_elem(&weir_udp, &k);
	if (val) {
		if (is_pick_valid(fe, val)) {
			val->seen_ns = bpf_ktime_get_coarse_ns();
			choice->addr = val->addr;
			choice->port_be = val->port_be;
			return WEIR_TO_ENDPOINT;
		}
		weir_count_event(WEIR_COUNT_UDP_REPICKED);
		if (val->gid) {
			weir_count_closed(val->stat, val->ep_id);
		}
		bpf_map_delete_elem(&weir_udp, &k);
	}
	verdict = choose_for_socket(ctx, fe, key, choice);
	if (verdict == WEIR_PASS || verdict == WEIR_REFUSE) {
		return verdict;
	}
	if (!remember_pick(ctx, &k, choice)) {
		weir_count_event(WEIR_COUNT_CONNECT_NOMEM);
		return WEIR_PASS;
	}
	weir_count_event(verdict == WEIR_TO_PROXY ? WEIR_COUNT_CONNECT_PROXIED
						  : WEIR_COUNT_UDP_PICKED);
	if (verdict == WEIR_TO_ENDPOINT) {
		weir_count_opened(choice->stat, choice->ep_id);
	}
	return verdict;
}

/* Is addr the endpoint that st was connected to?  Then it becomes what the
 * socket asked for. */
static __always_inline bool translate(const struct weir_sk *st,
				      struct weir_ip *addr, __be16 *port_be)
{
	if (!st || !(st->state & WEIR_SK_PICKED) ||
	    st->ep_port_be != *port_be || !weir_ip_same(&st->ep_addr, addr)) {
		return false;
	}
	*addr = st->orig_addr;
	*port_be = st->orig_port_be;
	return true;
}

/* What the application shall see as its peer: true if addr is one of weir's
 * endpoints for this socket, then the frontend is put in its place. */
static __always_inline bool peer_of(struct bpf_sock_addr *ctx,
				    struct weir_ip *addr, __be16 *port_be)
{
	struct bpf_sock *sk = ctx->sk;

	return sk && translate(weir_conn_find(bpf_get_socket_cookie(ctx), sk),
			       addr, port_be);
}

/* Likewise for a datagram received; sockets that are neither connected nor had
 * a pick pay one failed lookup of storage. */
static __always_inline bool source_of(struct bpf_sock_addr *ctx,
				      struct weir_ip *addr, __be16 *port_be)
{
	struct bpf_sock *sk = ctx->sk;
	struct weir_udp_val *val;
	struct weir_udp_key k = {};
	struct weir_sk *st;

	if (!sk) {
		return false;
	}
	if (sk->state == BPF_TCP_ESTABLISHED && peer_of(ctx, addr, port_be)) {
		return true;
	}
	st = bpf_sk_storage_get(&weir_sk, sk, NULL, 0);
	if (!st || !(st->state & WEIR_SK_ASSOCS)) {
		return false;
	}
	k.cookie = bpf_get_socket_cookie(ctx);
	k.addr = *addr;
	k.port_be = *port_be;
	k.dir = 1;
	val = bpf_map_lookup_elem(&weir_udp, &k);
	if (!val) {
		return false;
	}
	*addr = val->addr;
	*port_be = val->port_be;
	return true;
}

static __always_inline void key_from4(struct bpf_sock_addr *ctx,
				      struct weir_fe_key *key)
{
	weir_ip_set4(&key->addr, ctx->user_ip4);
	key->port_be = ctx->user_port;
	key->proto = ctx->protocol;
}

static __always_inline void key_from6(struct bpf_sock_addr *ctx,
				      struct weir_fe_key *key)
{
	key->addr.a[0] = ctx->user_ip6[0];
	key->addr.a[1] = ctx->user_ip6[1];
	key->addr.a[2] = ctx->user_ip6[2];
	key->addr.a[3] = ctx->user_ip6[3];
	key->port_be = ctx->user_port;
	key->proto = ctx->protocol;
}

static __always_inline void put4(struct bpf_sock_addr *ctx,
				 const struct weir_ip *addr, __be16 port_be)
{
	ctx->user_ip4 = addr->a[3];
	ctx->user_port = port_be;
}

static __always_inline void put6(struct bpf_sock_addr *ctx,
				 const struct weir_ip *addr, __be16 port_be)
{
	ctx->user_ip6[0] = addr->a[0];
	ctx->user_ip6[1] = addr->a[1];
	ctx->user_ip6[2] = addr->a[2];
	ctx->user_ip6[3] = addr->a[3];
	ctx->user_port = port_be;
}

SEC("cgroup/connect4")
int weir_connect4(struct bpf_sock_addr *ctx)
{
	struct weir_choice choice = {};
	struct weir_fe_key key = {};

	key_from4(ctx, &key);
	switch (take_connect(ctx, &key, &choice)) {
	case WEIR_PASS:
		return 1;
	case WEIR_REFUSE:
		return refuse();
	default:
		put4(ctx, &choice.addr, choice.port_be);
		return 1;
	}
}

SEC("cgroup/connect6")
int weir_connect6(struct bpf_sock_addr *ctx)
{
	struct weir_choice choice = {};
	struct weir_fe_key key = {};

	key_from6(ctx, &key);
	switch (take_connect(ctx, &key, &choice)) {
	case WEIR_PASS:
		return 1;
	case WEIR_REFUSE:
		return refuse();
	default:
		put6(ctx, &choice.addr, choice.port_be);
		return 1;
	}
}

SEC("cgroup/sendmsg4")
int weir_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct weir_choice choice = {};
	struct weir_fe_key key = {};

	key_from4(ctx, &key);
	switch (take_send(ctx, &key, &choice)) {
	case WEIR_PASS:
		return 1;
	case WEIR_REFUSE:
		return refuse();
	default:
		put4(ctx, &choice.addr, choice.port_be);
		return 1;
	}
}

SEC("cgroup/sendmsg6")
int weir_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct weir_choice choice = {};
	struct weir_fe_key key = {};

	key_from6(ctx, &key);
	switch (take_send(ctx, &key, &choice)) {
	case WEIR_PASS:
		return 1;
	case WEIR_REFUSE:
		return refuse();
	default:
		put6(ctx, &choice.addr, choice.port_be);
		return 1;
	}
}

SEC("cgroup/recvmsg4")
int weir_recvmsg4(struct bpf_sock_addr *ctx)
{
	struct weir_fe_key key = {};

	key_from4(ctx, &key);
	if (source_of(ctx, &key.addr, &key.port_be)) {
		put4(ctx, &key.addr, key.port_be);
	}
	return 1;
}

SEC("cgroup/recvmsg6")
int weir_recvmsg6(struct bpf_sock_addr *ctx)
{
	struct weir_fe_key key = {};

	key_from6(ctx, &key);
	if (source_of(ctx, &key.addr, &key.port_be)) {
		put6(ctx, &key.addr, key.port_be);
	}
	return 1;
}

SEC("cgroup/getpeername4")
int weir_peername4(struct bpf_sock_addr *ctx)
{
	struct weir_fe_key key = {};

	key_from4(ctx, &key);
	if (peer_of(ctx, &key.addr, &key.port_be)) {
		put4(ctx, &key.addr, key.port_be);
	}
	return 1;
}

SEC("cgroup/getpeername6")
int weir_peername6(struct bpf_sock_addr *ctx)
{
	struct weir_fe_key key = {};

	key_from6(ctx, &key);
	if (peer_of(ctx, &key.addr, &key.port_be)) {
		put6(ctx, &key.addr, key.port_be);
	}
	return 1;
}

/* The association that an unconnected socket used last; others expire. */
static __always_inline void close_association(struct bpf_sock *ctx,
					      const struct weir_sk *st)
{
	struct weir_udp_key k = {
		.cookie = bpf_get_socket_cookie(ctx),
		.addr = st->orig_addr,
		.port_be = st->orig_port_be,
	};
	struct weir_udp_val *val = bpf_map_lookup_elem(&weir_udp, &k);
	struct weir_udp_key back = {.cookie = k.cookie, .dir = 1};

	if (!val) {
		return;
	}
	if (val->gid) {
		weir_count_closed(val->stat, val->ep_id);
	}
	back.addr = val->addr;
	back.port_be = val->port_be;
	bpf_map_delete_elem(&weir_udp, &back);
	bpf_map_delete_elem(&weir_udp, &k);
}

/* close(2): the last word of a datagram socket, which sockops never sees, and
 * of a stream that nobody watches. */
SEC("cgroup/sock_release")
int weir_release(struct bpf_sock *ctx)
{
	bool is_datagram = ctx->protocol == IPPROTO_UDP;
	struct weir_sk *st;
	__u64 cookie;

	if (!is_datagram && ctx->protocol != IPPROTO_TCP) {
		return 1;
	}
	if (ctx->state == BPF_TCP_LISTEN) {
		return 1;
	}
	if (is_datagram) {
		st = bpf_sk_storage_get(&weir_sk, ctx, NULL, 0);
		if (st && (st->state & WEIR_SK_ASSOCS)) {
			close_association(ctx, st);
		}
		if (st) {
			/* From when weir_conn was full. */
			close_datagram(st);
		}
	}
	cookie = bpf_get_socket_cookie(ctx);
	st = bpf_map_lookup_elem(&weir_conn, &cookie);
	if (!st || (weir_conf.wants_accounting && !is_datagram &&
		    (st->state & WEIR_SK_WATCHED))) {
		return 1;
	}
	if (is_datagram) {
		close_datagram(st);
	}
	weir_conn_forget(cookie);
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";
