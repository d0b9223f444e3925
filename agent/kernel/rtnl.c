// SPDX-License-Identifier: Apache-2.0
#include "rtnl.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "cleanup.h"

#define ANSWER_BYTES 32768 /* what the kernel puts into one answer at most */
#define ANSWER_S 5         /* longer is not a busy kernel but a lost answer */

int weir_rtnl_open(int *ret_fd)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
					NETLINK_ROUTE);
	struct timeval t = {.tv_sec = ANSWER_S};

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) < 0) {
		return -errno;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int weir_rtnl_listen(const unsigned int *groups, size_t n, int *ret_fd)
{
	_cleanup_close_ int fd = socket(AF_NETLINK,
					SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
					NETLINK_ROUTE);
	struct sockaddr_nl sa = {.nl_family = AF_NETLINK};

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		return -errno;
	}
	for (size_t i = 0; i < n; i++) {
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
			       &groups[i], sizeof(groups[i])) < 0) {
			return -errno;
		}
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

void weir_rtnl_begin(struct weir_rtnl_request *rq, uint16_t type,
		     uint16_t flags, const void *fixed, size_t n)
{
	memset(rq, 0, sizeof(*rq));
	assert(n <= sizeof(rq->body));
	memcpy(rq->body, fixed, n);
	rq->h.nlmsg_len = (uint32_t)NLMSG_LENGTH(n);
	rq->h.nlmsg_type = type;
	rq->h.nlmsg_flags = NLM_F_REQUEST | flags;
}

void weir_rtnl_add(struct weir_rtnl_request *rq, uint16_t type, const void *p,
		   size_t n)
{
	size_t at = NLMSG_ALIGN(rq->h.nlmsg_len);
	struct rtattr a = {.rta_len = (uint16_t)RTA_LENGTH(n),
			   .rta_type = type};

	assert(at + RTA_SPACE(n) <= sizeof(*rq));
	memcpy((char *)rq + at, &a, sizeof(a));
	memcpy((char *)rq + at + RTA_LENGTH(0), p, n);
	rq->h.nlmsg_len = (uint32_t)(at + RTA_LENGTH(n));
}

/* Reads answers to seq until the last: 0, -errno, or not 0 from fn. */
static int answers(int fd, uint32_t seq, weir_rtnl_fn fn, void *arg)
{
	_Alignas(struct nlmsghdr) static _Thread_local char buf[ANSWER_BYTES];

	bool is_torn = false;

	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		struct nlmsghdr *h = (void *)buf;

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		}
		for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			int r;

			if (h->nlmsg_seq != seq) {
				continue; /* of a request that timed out */
			}
			is_torn |= (h->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
			if (h->nlmsg_type == NLMSG_DONE ||
			    h->nlmsg_type == NLMSG_ERROR) {
				/* Both begin with an error number. */
				const int *e = weir_rtnl_fixed(h, sizeof(*e));

				if (!e && h->nlmsg_type == NLMSG_ERROR) {
					return -EBADMSG;
				}
				return e && *e ? *e : is_torn ? -EAGAIN : 0;
			}
			r = fn ? fn(arg, h) : 0;
			if (r) {
				return r;
			}
		}
	}
}

static int ask(int fd, struct weir_rtnl_request *rq, weir_rtnl_fn fn, void *arg)
{
	static _Thread_local uint32_t seq;
	ssize_t n;

	rq->h.nlmsg_seq = ++seq;
	n = send(fd, rq, rq->h.nlmsg_len, 0);
	if (n < 0) {
		return -errno;
	}
	return answers(fd, rq->h.nlmsg_seq, fn, arg);
}

int weir_rtnl_do(int fd, struct weir_rtnl_request *rq)
{
	rq->h.nlmsg_flags |= NLM_F_ACK;
	return ask(fd, rq, NULL, NULL);
}

int weir_rtnl_dump(int fd, struct weir_rtnl_request *rq, weir_rtnl_fn fn,
		   void *arg)
{
	rq->h.nlmsg_flags |= NLM_F_DUMP;
	return ask(fd, rq, fn, arg);
}

static const struct rtattr *find(const void *p, size_t n, uint16_t type)
{
	const char *at = p;

	while (n >= sizeof(struct rtattr)) {
		const struct rtattr *a = (const void *)at;
		size_t step = RTA_ALIGN(a->rta_len);

		if (a->rta_len < sizeof(*a) || a->rta_len > n) {
			return NULL;
		}
		if ((a->rta_type & NLA_TYPE_MASK) == type) {
			return a;
		}
		if (step > n) {
			return NULL;
		}
		at += step;
		n -= step;
	}
	return NULL;
}

const struct rtattr *weir_rtnl_attr(const struct nlmsghdr *h, size_t n,
				    uint16_t type)
{
	size_t skip = NLMSG_SPACE(n);

	if (h->nlmsg_len < skip) {
		return NULL;
	}
	return find((const char *)h + skip, h->nlmsg_len - skip, type);
}

const struct rtattr *weir_rtnl_nested(const struct rtattr *in, uint16_t type)
{
	return in ? find((const char *)in + RTA_LENGTH(0),
			 in->rta_len - RTA_LENGTH(0), type)
		  : NULL;
}

const void *weir_rtnl_fixed(const struct nlmsghdr *h, size_t n)
{
	return h->nlmsg_len >= NLMSG_LENGTH(n)
		       ? (const char *)h + NLMSG_LENGTH(0)
		       : NULL;
}

uint32_t weir_rtnl_u32(const struct rtattr *a, uint32_t otherwise)
{
	uint32_t v;

	if (!a || a->rta_len < RTA_LENGTH(sizeof(v))) {
		return otherwise;
	}
	memcpy(&v, (const char *)a + RTA_LENGTH(0), sizeof(v));
	return v;
}

bool weir_rtnl_drain(int fd,
		     bool (*matters)(void *arg, const struct nlmsghdr *h),
		     void *arg)
{
	_Alignas(struct nlmsghdr) static _Thread_local char buf[ANSWER_BYTES];
	bool found = false;

	/* Bounded: what comes meanwhile wakes the loop again. */
	for (int i = 0; i < 1024; i++) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		struct nlmsghdr *h = (void *)buf;

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0 && errno != ENOBUFS) {
			break;
		}
		found = found || n < 0;
		for (; n > 0 && NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			/* Every message is shown, whatever the others are. */
			found |= !matters || matters(arg, h);
		}
	}
	return found;
}
