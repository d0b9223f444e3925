/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 (RFC 9113), both sides, as a translation: each stream is an end that
 * speaks HTTP/1.1 text with the machine above, which stays the only one that
 * matches, filters, retries and times out.  A connection from a client hangs
 * on the weir_client that was accepted; one to an endpoint on a weir_upstream
 * of the endpoint's pool.  Frames, HPACK and flow control are nghttp2's.
 */
#ifndef WEIR_PROXY_H2_H
#define WEIR_PROXY_H2_H

#include "conn.h"

#define WEIR_H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

struct weir_h2;
struct weir_h2_worker;

/* Per worker: w->h2.  0 or -errno. */
int weir_h2_init(struct weir_worker *w);
void weir_h2_fini(struct weir_worker *w);

/* From here on c speaks HTTP/2; what is in c->in are its first bytes. */
enum weir_step weir_h2_accept(struct weir_worker *w, struct weir_client *c);
/* Something happened to the connection of a client. */
enum weir_step weir_h2_step(struct weir_worker *w, struct weir_client *c);
/* When that connection has waited long enough, ms. */
uint64_t weir_h2_deadline(const struct weir_worker *w,
			  const struct weir_client *c);
/* It has: says good-bye. */
void weir_h2_expire(struct weir_worker *w, struct weir_client *c);
/* A window of the client's keeps the stream below end from being sent to, and
 * not the others of its connection. */
bool weir_h2_is_held_back(const struct weir_end *end);
/* It cannot send, whatever it would: what came on its connection waits here. */
bool weir_h2_is_shut_out(const struct weir_end *end);
/* Buffers are short: what was answered and the client has not taken for
 * WEIR_SHORT_MS is given up. */
void weir_h2_relieve(struct weir_worker *w, struct weir_client *c);
/* No new streams; it closes with the last one. */
void weir_h2_drain(struct weir_worker *w, struct weir_client *c);
/* Before its end closes: the streams see a broken connection. */
void weir_h2_free(struct weir_worker *w, struct weir_h2 **h2);
/* Sends what the streams produced in this turn.  False: some wait for another
 * one. */
bool weir_h2_flush(struct weir_worker *w);

/* A stream to an endpoint as the end of u.  carrier: the connection. */
int weir_h2_open(struct weir_worker *w, struct weir_upstream *carrier,
		 struct weir_upstream *u);
/* Makes carrier, connected or connecting, speak HTTP/2. */
int weir_h2_connect(struct weir_worker *w, struct weir_upstream *carrier);
/* The connection stands: streams that waited for it may begin. */
void weir_h2_connected(struct weir_upstream *carrier);
/* Carries nothing now that anybody waits for. */
bool weir_h2_is_idle(const struct weir_upstream *carrier);
/* No new streams; it closes with the last one. */
void weir_h2_retire(struct weir_upstream *carrier);
/* The request of u, perhaps a stream, which began at since_ms, was not answered
 * in time.  Where nothing at all has come on its connection since such a one
 * began, for as long as connecting may take, that may be dead, and takes no new
 * streams. */
void weir_h2_doubt(const struct weir_upstream *u, uint64_t since_ms);
/* Its socket has something to say. */
void weir_h2_carrier_event(struct weir_worker *w,
			   struct weir_upstream *carrier);
/* Takes another stream now?  known: how many its endpoint allows; 0: that is
 * not known. */
bool weir_h2_has_room(const struct weir_upstream *carrier, uint32_t known);
/* Is u a stream whose connection has ended? */
bool weir_h2_has_ended(const struct weir_upstream *u);
/* Was the request of u certainly not looked at (RFC 9113 8.7)? */
bool weir_h2_is_unprocessed(const struct weir_upstream *u);

#endif
