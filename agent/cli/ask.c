/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "fdutil.h"

#define ANSWER_MAX ((size_t)256 << 20)
#define PATIENCE_S 15

static int connect_to(const char *path, int *ret_fd)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = PATIENCE_S};
	_cleanup_close_ int fd = -1;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		return -ENAMETOOLONG;
	}
	memcpy(sa.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		return -errno;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		return -errno;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Keeps the first two descriptors, closes what else came. */
static void keep_fds(int *fds, size_t n, int kept[2])
{
	for (size_t i = 0; i < n; i++) {
		if (i < 2 && kept[i] < 0) {
			kept[i] = TAKE_FD(fds[i]);
		}
		weir_close(&fds[i]);
	}
}

static int receive(int fd, struct weir_buf *answer, int kept[2])
{
	for (;;) {
		char chunk[16384];
		int fds[WEIR_FDS_MAX];
		size_t n_fds = 0;
		ssize_t n = weir_recv_fds(fd, chunk, sizeof(chunk), fds,
					  &n_fds);

		if (n == -EINTR) {
			continue;
		}
		if (n <= 0) {
			return n == -EAGAIN ? -ETIMEDOUT : (int)n;
		}
		keep_fds(fds, n_fds, kept);
		weir_buf_add(answer, chunk, (size_t)n);
		if (answer->error || answer->n > ANSWER_MAX) {
			return answer->error ? answer->error : -EFBIG;
		}
	}
}

int weir_ask(const char *path, const char *request, struct weir_buf *answer,
	     int ret_fds[2])
{
	_cleanup_buf_ struct weir_buf line = {0};
	_cleanup_close_ int first = -1;
	_cleanup_close_ int second = -1;
	_cleanup_close_ int fd = -1;
	int kept[2] = {-1, -1};
	int r = connect_to(path, &fd);

	if (r < 0) {
		return r;
	}
	weir_buf_printf(&line, "%s\n", request);
	if (line.error) {
		return line.error;
	}
	if (send(fd, line.p, line.n, MSG_NOSIGNAL) != (ssize_t)line.n) {
		return errno ? -errno : -EIO;
	}
	r = receive(fd, answer, kept);
	first = kept[0];
	second = kept[1];
	if (r < 0) {
		return r;
	}
	if (ret_fds) {
		ret_fds[0] = TAKE_FD(first);
		ret_fds[1] = TAKE_FD(second);
	}
	return 0;
}

const char *weir_ask_hint(int error)
{
	if (error == -ENOENT || error == -ECONNREFUSED) {
		return " (is weir-agent running? --admin names its socket)";
	}
	if (error == -EACCES || error == -EPERM) {
		return " (only its owner may ask; try sudo)";
	}
	return "";
}

static void complain(const struct weir_ctl *ctl, int r)
{
	weir_ctl_fail("%s: %s%s", ctl->admin, strerror(-r), weir_ask_hint(r));
}

void weir_ask_json_free(cJSON **json)
{
	cJSON_Delete(*json);
	*json = NULL;
}

cJSON *weir_ask_json(const struct weir_ctl *ctl, const char *request)
{
	_cleanup_buf_ struct weir_buf answer = {0};
	_cleanup_(weir_ask_json_free) cJSON *json = NULL;
	const char *error;
	int r = weir_ask(ctl->admin, request, &answer, NULL);

	if (r < 0) {
		complain(ctl, r);
		return NULL;
	}
	json = cJSON_ParseWithLength(answer.n ? answer.p : "", answer.n);
	if (!json) {
		weir_ctl_fail("%s: the answer to %s is not JSON", ctl->admin,
			      request);
		return NULL;
	}
	error = weir_json_text(json, "error");
	if (error[0]) {
		weir_ctl_fail("%s: %s", ctl->admin, error);
		return NULL;
	}
	return TAKE_PTR(json);
}

int weir_ask_print(const struct weir_ctl *ctl, const char *request)
{
	_cleanup_buf_ struct weir_buf answer = {0};
	int r = weir_ask(ctl->admin, request, &answer, NULL);

	if (r < 0) {
		complain(ctl, r);
		return WEIR_CTL_FAILED;
	}
	return weir_ctl_print(&answer, WEIR_CTL_OK);
}

double weir_json_number(const cJSON *object, const char *name)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

const char *weir_json_text(const cJSON *object, const char *name)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsString(v) ? v->valuestring : "";
}
