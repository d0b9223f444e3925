/* SPDX-License-Identifier: Apache-2.0 */
/* Route netlink: requests, dumps, attributes.  One request at a time. */
#ifndef WEIR_KERNEL_RTNL_H
#define WEIR_KERNEL_RTNL_H

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* rtm_protocol and NDA_PROTOCOL of what weir made: only that is removed. */
#define WEIR_RTNL_PROTOCOL 119

/* Room for the requests of this directory. */
struct weir_rtnl_request {
	struct nlmsghdr h;
	char body[496];
};

/* A message of a dump; h is valid during the call.  Not 0 ends the dump. */
typedef int (*weir_rtnl_fn)(void *arg, const struct nlmsghdr *h);

/* A blocking socket of this network namespace for requests. */
int weir_rtnl_open(int *ret_fd);
/* A non-blocking one that hears of changes to the groups (RTNLGRP_*). */
int weir_rtnl_listen(const unsigned int *groups, size_t n, int *ret_fd);
/* A request whose fixed part is n bytes; flags: NLM_F_*. */
void weir_rtnl_begin(struct weir_rtnl_request *rq, uint16_t type,
		     uint16_t flags, const void *fixed, size_t n);
/* Requests are small and of known size: overflow is a programming error. */
void weir_rtnl_add(struct weir_rtnl_request *rq, uint16_t type, const void *p,
		   size_t n);
/* How often to dump again after -EAGAIN. */
#define WEIR_RTNL_TRIES 10
/* Sends and waits for the acknowledgement: 0 or the kernel's -errno. */
int weir_rtnl_do(int fd, struct weir_rtnl_request *rq);
/* 0, -errno, or what fn returned.  -EAGAIN: what is listed changed meanwhile,
 * so that something may be missing. */
int weir_rtnl_dump(int fd, struct weir_rtnl_request *rq, weir_rtnl_fn fn,
		   void *arg);
/* The attribute of a message whose fixed part is n bytes; NULL. */
const struct rtattr *weir_rtnl_attr(const struct nlmsghdr *h, size_t n,
				    uint16_t type);
/* Likewise inside another attribute. */
const struct rtattr *weir_rtnl_nested(const struct rtattr *in, uint16_t type);
/* The fixed part; NULL if the message is too short for it. */
const void *weir_rtnl_fixed(const struct nlmsghdr *h, size_t n);
uint32_t weir_rtnl_u32(const struct rtattr *a, uint32_t otherwise);
/* Reads away what a listening socket holds.  True if any of it matters (NULL:
 * all does), or if some was lost. */
bool weir_rtnl_drain(int fd,
		     bool (*matters)(void *arg, const struct nlmsghdr *h),
		     void *arg);

#endif
