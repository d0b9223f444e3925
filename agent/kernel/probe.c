// SPDX-License-Identifier: Apache-2.0
/*
 * What this kernel can do, found by loading tiny samples and making calls that
 * fail in a telling way.  Never by its version: distributions backport.
 */
#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "cleanup.h"
#include "private.h"
#include "uring.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
#define TCX_INGRESS 46 /* BPF_TCX_INGRESS; newer than Debian 12's headers */
/* The initial pid namespace has a fixed inode (PROC_PID_INIT_INO). */
#define INIT_PIDNS 0xEFFFFFFCu

/* One instruction each, in the kernel's encoding. */
#define MOV_R0(v)                                                              \
	((struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = (v)})
#define MOV_REG(d, s)                                                          \
	((struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_X,                \
			   .dst_reg = (d),                                     \
			   .src_reg = (s)})
#define MOV_R1(v)                                                              \
	((struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K,                \
			   .dst_reg = 1,                                       \
			   .imm = (v)})
#define CALL(f) ((struct bpf_insn){.code = BPF_JMP | BPF_CALL, .imm = (f)})
#define LOAD_CTX(o)                                                            \
	((struct bpf_insn){                                                    \
		.code = BPF_LDX | BPF_MEM | BPF_W, .src_reg = 1, .off = (o)})
#define EXIT ((struct bpf_insn){.code = BPF_JMP | BPF_EXIT})

static bool loads(enum bpf_prog_type type, enum bpf_attach_type attach,
		  const struct bpf_insn *insns, size_t n)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach);
	_cleanup_close_ int fd = bpf_prog_load(type, "weir_probe",
					       "Dual BSD/GPL", insns, n, &opts);

	return fd >= 0;
}

static bool loads_trivially(enum bpf_prog_type type,
			    enum bpf_attach_type attach)
{
	const struct bpf_insn insns[] = {MOV_R0(1), EXIT};

	return loads(type, attach, insns, 2);
}

static bool has_retval(void)
{
	const struct bpf_insn insns[] = {MOV_R1(-ECONNREFUSED),
					 CALL(BPF_FUNC_set_retval), MOV_R0(0),
					 EXIT};

	return loads(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT,
		     insns, 4);
}

static bool has_ingress(void)
{
	const struct bpf_insn insns[] = {
		LOAD_CTX(offsetof(struct bpf_sk_lookup, ingress_ifindex)),
		MOV_R0(1), EXIT};

	return loads(BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP, insns, 3);
}

/* A kernel that knows the attach type looks for the interface first. */
static bool has_tcx(void)
{
	const struct bpf_insn insns[] = {MOV_R0(0), EXIT};
	_cleanup_close_ int fd = bpf_prog_load(
		BPF_PROG_TYPE_SCHED_CLS, "weir_probe", "GPL", insns, 2, NULL);
	union bpf_attr attr = {};

	if (fd < 0) {
		return false;
	}
	attr.link_create.prog_fd = fd;
	attr.link_create.target_ifindex = 0x7FFFFFFF;
	attr.link_create.attach_type = TCX_INGRESS;
	return syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr)) < 0 &&
	       errno == ENODEV;
}

static bool has_cookies(void)
{
	const struct bpf_insn insns[] = {
		MOV_REG(6, 1), CALL(BPF_FUNC_get_socket_cookie),
		MOV_REG(1, 6), CALL(BPF_FUNC_get_netns_cookie),
		MOV_R0(1),     EXIT,
	};

	return loads(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT,
		     insns, 6);
}

uint64_t weir_netns_cookie(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t n = sizeof(cookie);

	if (fd < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &n) < 0) {
		return 0;
	}
	return cookie;
}

void weir_features_drop(struct weir_features *features, uint32_t without)
{
	features->has_retval &= !(without & WEIR_WITHOUT_RETVAL);
	features->has_loop &= !(without & WEIR_WITHOUT_LOOP);
	features->has_ingress &= !(without & WEIR_WITHOUT_INGRESS);
	features->has_tcx &= !(without & WEIR_WITHOUT_TCX);
	features->is_init_pidns &= !(without & WEIR_WITHOUT_INIT_PIDNS);
}

/* As a container or kernel.io_uring_disabled lets it; what the proxy, without
 * its rights, is let is in the log. */
static bool has_uring(void)
{
	struct io_uring_params params = {.cq_entries = 8};
	_cleanup_close_ int fd = weir_uring_setup(4, &params);

	return fd >= 0;
}

void weir_probe(struct weir_features *ret_features)
{
	struct stat st;

	*ret_features = (struct weir_features){
		.has_connect = loads_trivially(BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
					       BPF_CGROUP_INET4_CONNECT),
		.has_retval = has_retval(),
		.has_loop = libbpf_probe_bpf_helper(
				    BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
				    BPF_FUNC_loop, NULL) == 1,
		.has_getpeername = loads_trivially(
			BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
			BPF_CGROUP_INET4_GETPEERNAME),
		.has_sock_release = loads_trivially(
			BPF_PROG_TYPE_CGROUP_SOCK,
			BPF_CGROUP_INET_SOCK_RELEASE),
		.has_sockops = loads_trivially(BPF_PROG_TYPE_SOCK_OPS,
					       BPF_CGROUP_SOCK_OPS),
		.has_cookies = has_cookies(),
		.has_sk_lookup = loads_trivially(BPF_PROG_TYPE_SK_LOOKUP,
						 BPF_SK_LOOKUP),
		.has_ingress = has_ingress(),
		.has_sched_cls = loads_trivially(BPF_PROG_TYPE_SCHED_CLS, 0),
		.has_tcx = has_tcx(),
		.has_xdp = loads_trivially(BPF_PROG_TYPE_XDP, 0),
		.has_uring = has_uring(),
		.has_netns_cookie = weir_netns_cookie() != 0,
		.is_init_pidns = stat("/proc/self/ns/pid", &st) == 0 &&
				 st.st_ino == INIT_PIDNS,
	};
}
