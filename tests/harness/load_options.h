/* SPDX-License-Identifier: Apache-2.0 */
/* Command line of weir-load. */
#ifndef WEIR_HARNESS_LOAD_OPTIONS_H
#define WEIR_HARNESS_LOAD_OPTIONS_H

#include <sys/socket.h>

#include "buf.h"

enum load_mode { LOAD_MODE_HTTP, LOAD_MODE_TCP, LOAD_MODE_UDP };

struct load_options {
	enum load_mode mode;
	struct sockaddr_storage to;
	socklen_t to_len;
	struct sockaddr_storage bind;
	socklen_t bind_len;
	const char *target;
	const char *label;
	const char *status_file;
	const char *method;
	uint64_t concurrency;
	uint64_t total;    /* units; 0: until the time is over */
	uint64_t time_ms;  /* 0: until the units are done */
	double rate;       /* units per second; 0: as fast as answers come */
	uint64_t size;     /* payload bytes of tcp, udp, or http body */
	uint64_t rounds;   /* tcp: echoes per connection; 0: until the end */
	uint64_t think_ms; /* between rounds */
	uint64_t timeout_ms;
	uint64_t expect; /* http status; 0: any 2xx */
	bool is_keep_alive;
	bool is_chunked;
	bool is_unconnected; /* udp: sendto, recvfrom */
	bool is_reused;      /* udp: one socket per slot */
	bool wants_peer;     /* compare getpeername with the target */
	bool wants_pattern;  /* http: the body must be the pattern */
	bool wants_lines;
	bool wants_failures;
};

/* Fills opt and what one unit sends.  Complains on standard error; -EINVAL, or
 * 1 if help was asked for and given. */
int load_options_parse(int argc, char **argv, struct load_options *opt,
		       struct weir_buf *request);

#endif
