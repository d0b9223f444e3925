/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "fdutil.h"

static void run(const char *command, int in, int out)
{
	if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	}
	_exit(127);
}

int peer_start(const char *spec, struct peer *ret_peer)
{
	struct peer p = {.in = -1, .every = 1};
	const char *command = strchr(spec, '=');
	char *slash;
	int to[2];
	int from[2];

	if (!command || command - spec >= (ptrdiff_t)sizeof(p.name)) {
		return -EINVAL;
	}
	memcpy(p.name, spec, (size_t)(command - spec));
	slash = strchr(p.name, '/');
	if (slash) {
		*slash = 0;
		p.every = (uint32_t)strtoul(slash + 1, NULL, 10);
	}
	if (p.every == 0 || pipe2(to, O_CLOEXEC) < 0) {
		return -EINVAL;
	}
	if (pipe2(from, O_CLOEXEC) < 0) {
		return -errno;
	}
	p.pid = fork();
	if (p.pid == 0) {
		run(command + 1, to[0], from[1]);
	}
	weir_close(&to[0]);
	weir_close(&from[1]);
	p.in = to[1];
	p.out = fdopen(from[0], "re");
	if (p.pid < 0 || !p.out) {
		return -ENOMEM;
	}
	*ret_peer = p;
	return 0;
}

void peer_stop(struct peer *peer)
{
	weir_close(&peer->in);
	fclose(peer->out);
	(void)waitpid(peer->pid, NULL, 0);
}

static int write_all(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n) {
		ssize_t r = write(fd, p, n);

		if (r < 0 && errno != EINTR) {
			return -EPIPE;
		}
		if (r > 0) {
			p += r;
			n -= (size_t)r;
		}
	}
	return 0;
}

int peer_send(const struct peer *peer, const char *batch, size_t n)
{
	uint32_t size = (uint32_t)n;
	int r = write_all(peer->in, &size, sizeof(size));

	return r < 0 ? r : write_all(peer->in, batch, n);
}

/* "END REASON METHOD,TARGET,HOST,SIZE,BODY ..." */
int peer_receive(const struct peer *peer, struct reading *ret_reading)
{
	static char line[READING_MAX * 64 + 256];
	struct reading *r = ret_reading;
	char *save = NULL;
	char *word;

	if (!fgets(line, sizeof(line), peer->out)) {
		return -EPIPE;
	}
	word = strtok_r(line, " \n", &save);
	if (!word || !strchr(".HBCEF?", word[0])) {
		return -EBADMSG;
	}
	r->end = (enum ending)word[0];
	word = strtok_r(NULL, " \n", &save);
	snprintf(r->reason, sizeof(r->reason), "%.60s", word ? word : "");
	for (r->n = 0; r->n < READING_MAX; r->n++) {
		struct message *m = &r->v[r->n];

		word = strtok_r(NULL, " \n", &save);
		if (!word) {
			break;
		}
		if (sscanf(word, "%x,%x,%x,%u,%x", &m->method, &m->target,
			   &m->host, &m->body_n, &m->body) != 5) {
			return -EBADMSG;
		}
		m->any_host = false;
	}
	return 0;
}
