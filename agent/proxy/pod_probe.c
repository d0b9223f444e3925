// SPDX-License-Identifier: Apache-2.0
#include "pod_probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addr.h"
#include "cleanup.h"

/* queue-proxy keeps an answer back while its container starts. */
#define ANSWER_MS 3000

static void end_program(struct weir_pod_probe *p)
{
	if (p->program_fd >= 0) {
		weir_loop_del(p->all->loop, &p->program);
		weir_close(&p->program_fd);
	}
}

static void end(struct weir_pod_probe *p)
{
	end_program(p);
	weir_loop_del(p->all->loop, &p->io);
	weir_close(&p->fd);
	weir_rev_put(&p->key->rev);
	p->all->n--;
}

static void succeed(struct weir_pod_probe *p)
{
	weir_rev_set_early(p->key->rev, p->key->pod, true);
	end(p);
	p->all->on_early(p->all->arg);
}

/* 200 and the body "queue". */
static bool is_yes(const struct weir_pod_probe *p)
{
	const char *body = memmem(p->in, p->n_in, "\r\n\r\n", 4);

	return body && p->n_in >= 12 && memcmp(p->in, "HTTP/1.", 7) == 0 &&
	       memcmp(p->in + 8, " 200", 4) == 0 &&
	       memmem(body, (size_t)(p->in + p->n_in - body), "\r\nqueue", 7);
}

static void on_answer(struct weir_pod_probe *p)
{
	ssize_t n = recv(p->fd, p->in + p->n_in, sizeof(p->in) - p->n_in,
			 MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN) {
		return;
	}
	if (n > 0) {
		p->n_in += (uint32_t)n;
	}
	if (is_yes(p)) {
		succeed(p);
	} else if (n <= 0 || p->n_in == sizeof(p->in)) {
		end(p);
	}
}

static void ask(struct weir_pod_probe *p)
{
	char where[WEIR_ADDR_TEXT_MAX];
	char text[256];
	int n = snprintf(text, sizeof(text),
			 "GET /healthz HTTP/1.1\r\nHost: %s\r\n"
			 "User-Agent: Knative-Activator-Probe\r\n"
			 "K-Network-Probe: queue\r\nConnection: close\r\n\r\n",
			 weir_addr_format(&p->addr, p->port_be, where));

	if (send(p->fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) != n ||
	    weir_loop_mod(p->all->loop, &p->io, EPOLLIN) < 0) {
		end(p);
		return;
	}
	p->is_sent = true;
	p->key->due_ms = weir_now_ms() + ANSWER_MS;
}

static void on_io(struct weir_io *io, uint32_t events)
{
	struct weir_pod_probe *p = io->arg;

	if (p->is_sent) {
		on_answer(p);
	} else if (events & (EPOLLHUP | EPOLLERR)) {
		end(p);
	} else {
		ask(p);
	}
}

/* A socket that connects there; -1: it could not. */
static int connect_to(const struct weir_ip *addr, __be16 port_be)
{
	struct sockaddr_storage sa;
	socklen_t n = weir_addr_to_sockaddr(addr, port_be, &sa);
	_cleanup_close_ int fd = socket(
		sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || (connect(fd, (struct sockaddr *)&sa, n) < 0 &&
		       errno != EINPROGRESS)) {
		return -1;
	}
	return TAKE_FD(fd);
}

static void on_program(struct weir_io *io, uint32_t events)
{
	struct weir_pod_probe *p = io->arg;
	int error = 0;
	socklen_t n = sizeof(error);

	(void)events;
	if (getsockopt(p->program_fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0) {
		error = errno;
	}
	end_program(p);
	if (error == 0 && p->has_refused) {
		succeed(p);
	} else {
		p->has_refused |= error == ECONNREFUSED;
		p->is_vain = error == 0; /* it says nothing, however often */
	}
}

/* queue-proxy has the question, and waits for its container. */
static void try_program(struct weir_pod_probe *p, __be16 program_be)
{
	_cleanup_close_ int fd = -1;

	if (!p->is_sent || p->is_vain || p->program_fd >= 0) {
		return;
	}
	fd = connect_to(&p->addr, program_be);
	if (fd < 0) {
		return;
	}
	p->program = (struct weir_io){.fd = fd, .fn = on_program, .arg = p};
	if (weir_loop_add(p->all->loop, &p->program, EPOLLOUT) == 0) {
		p->program_fd = TAKE_FD(fd);
	}
}

/* NULL: the pod is being asked (*ret_asked), or as many are as may. */
static struct weir_pod_probe *find_free(struct weir_pod_probes *all,
					const struct weir_rev *rev,
					uint64_t pod,
					struct weir_pod_probe **ret_asked)
{
	struct weir_pod_probe *found = NULL;
	uint32_t n = 0;

	for (uint32_t i = 0; i < WEIR_POD_PROBES; i++) {
		struct weir_pod_probe_key *key = &all->keys[i];

		if (key->rev == rev && key->pod == pod) {
			*ret_asked = &all->v[i];
			return NULL;
		}
		n += key->rev == rev;
		if (!key->rev && !found) {
			found = &all->v[i];
			found->key = key;
		}
	}
	/* No revision has all of them; more than that are not remembered. */
	return n < WEIR_REV_EARLY ? found : NULL;
}

void weir_pod_probe_begin(struct weir_pod_probes *all, struct weir_rev *rev,
			  const struct weir_endpoint *endpoint,
			  __be16 program_be, uint32_t connect_ms)
{
	uint64_t pod = weir_rev_pod(&endpoint->addr, endpoint->port_be);
	struct weir_pod_probe *asked = NULL;
	struct weir_pod_probe *p = find_free(all, rev, pod, &asked);
	_cleanup_close_ int fd = -1;

	if (asked && program_be) {
		try_program(asked, program_be);
	}
	if (!p) {
		return;
	}
	fd = connect_to(&endpoint->addr, endpoint->port_be);
	if (fd < 0) {
		return;
	}
	p->io = (struct weir_io){.fd = fd, .fn = on_io, .arg = p};
	if (weir_loop_add(all->loop, &p->io, EPOLLOUT) < 0) {
		return;
	}
	p->all = all;
	p->key->rev = weir_rev_get(rev);
	p->key->pod = pod;
	p->key->due_ms = weir_now_ms() + connect_ms;
	p->addr = endpoint->addr;
	p->port_be = endpoint->port_be;
	p->fd = TAKE_FD(fd);
	p->is_sent = false;
	p->has_refused = false;
	p->is_vain = false;
	p->program_fd = -1;
	p->n_in = 0;
	all->n++;
}

void weir_pod_probes_expire(struct weir_pod_probes *all)
{
	uint64_t now = weir_now_ms();

	for (uint32_t i = 0; all->n && i < WEIR_POD_PROBES; i++) {
		if (all->keys[i].rev && all->keys[i].due_ms <= now) {
			end(&all->v[i]);
		}
	}
}

void weir_pod_probes_init(struct weir_pod_probes *all, struct weir_loop *loop)
{
	all->loop = loop;
}

void weir_pod_probes_fini(struct weir_pod_probes *all)
{
	for (uint32_t i = 0; i < WEIR_POD_PROBES; i++) {
		if (all->keys[i].rev) {
			end(&all->v[i]);
		}
	}
}
