/* fdctf.fdx: a Ro/Gy CTF on top of freeDiameter (own code; the stack, dictionary and rule checks are freeDiameter's).
 * build: gcc -shared -fPIC -O2 -o fdctf.fdx fdctf.c -I/usr/include
 * LoadExtension = "/abs/fdctf.fdx" : "/abs/fdctf.conf";  conf: key=value lines (see defaults below).
 * Runs <calls> calls: CCR-I, <updates> x CCR-U, CCR-T; prints one line per answer; RAR -> RAA 2002 + CCR-U, ASR -> ASA 2001 + CCR-T. */
#include <freeDiameter/extension.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <signal.h>

static char c_realm[256] = "example.org", c_host[256] = "", c_msisdn[64] = "15551000001", c_called[128] = "tel:+442079460123",
	c_ctx[128] = "32260@3gpp.org", c_out[256] = "";
static int c_calls = 1, c_updates = 2, c_interval = 1, c_rsu = 30, c_exit = 1, c_root = 0, c_event = 0, c_start = 2, c_tbit = 0;
static FILE *out;
static struct { struct dict_object *app, *ccr; } D;
struct cur { struct session *sess; os0_t sid; size_t sidlen; sem_t done; uint32_t rc, gsu, validity, number; int fui; int abort, reauth; } C;

static void say(const char *f, ...) { va_list a; va_start(a, f); vfprintf(out, f, a); va_end(a); fputc('\n', out); fflush(out); }

static struct avp *mk(const char *name) {
	struct dict_object *o = NULL; struct avp *a = NULL;
	if (fd_dict_search(fd_g_config->cnf_dict, DICT_AVP, AVP_BY_NAME_ALL_VENDORS, name, &o, ENOENT) || !o) { say("NO DICT %s", name); return NULL; }
	fd_msg_avp_new(o, 0, &a); return a; }
static struct avp *grp(msg_or_avp *p, const char *name) { struct avp *a = mk(name); if (a) fd_msg_avp_add(p, MSG_BRW_LAST_CHILD, a); return a; }
static void u32(msg_or_avp *p, const char *name, uint32_t v) { union avp_value x; struct avp *a = mk(name); if (!a) return; memset(&x, 0, sizeof x); x.u32 = v; fd_msg_avp_setvalue(a, &x); fd_msg_avp_add(p, MSG_BRW_LAST_CHILD, a); }
static void str(msg_or_avp *p, const char *name, const char *s) { union avp_value x; struct avp *a = mk(name); if (!a) return; memset(&x, 0, sizeof x); x.os.data = (uint8_t *)s; x.os.len = strlen(s); fd_msg_avp_setvalue(a, &x); fd_msg_avp_add(p, MSG_BRW_LAST_CHILD, a); }

static void walk(msg_or_avp *p, int depth) {
	struct avp *a = NULL; struct avp_hdr *h;
	if (fd_msg_browse(p, MSG_BRW_FIRST_CHILD, &a, NULL)) return;
	while (a) {
		fd_msg_avp_hdr(a, &h);
		if (h->avp_value || 1) switch (h->avp_code) {
		case 268: if (h->avp_value) { if (!depth) C.rc = h->avp_value->u32; else say("    MSCC Result-Code %u", h->avp_value->u32); } break;
		case 420: if (h->avp_value) C.gsu = h->avp_value->u32; break;
		case 448: if (h->avp_value) C.validity = h->avp_value->u32; break;
		case 449: if (h->avp_value) C.fui = h->avp_value->i32; break;
		case 431: case 456: case 430: case 279: walk(a, depth + 1); break;
		}
		if (fd_msg_browse(a, MSG_BRW_NEXT, &a, NULL)) break;
	}
}
static void ans(void *data, struct msg **m) {
	struct fd_pei pei; int r; DiamId_t err = NULL; size_t el = 0;
	struct msg_hdr *h; fd_msg_hdr(*m, &h);
	memset(&pei, 0, sizeof pei);
	r = fd_msg_parse_rules(*m, fd_g_config->cnf_dict, &pei);
	if (r) say("    RULES VIOLATION in answer: %s %s", pei.pei_errcode ?: "?", pei.pei_message ?: "");
	fd_msg_source_get(*m, &err, &el);
	C.rc = 0; C.gsu = C.validity = 0; C.fui = -1; walk(*m, 0);
	say("  CCA #%u rc=%u gsu=%u validity=%u fui=%d flags=0x%02x from %.*s", C.number, C.rc, C.gsu, C.validity, C.fui, h->msg_flags, (int)el, err ?: "");
	fd_msg_free(*m); *m = NULL; sem_post(&C.done);
}
static int ccr(int type, uint32_t num, int used) {
	struct msg *m = NULL; struct avp *g, *g2, *si, *ims; struct msg_hdr *h;
	CHECK_FCT(fd_msg_new(D.ccr, MSGFL_ALLOC_ETEID, &m));
	CHECK_FCT(fd_msg_hdr(m, &h)); h->msg_appl = 4; if (c_tbit && type == 2) h->msg_flags |= CMD_FLAG_RETRANSMIT;
	{ union avp_value x; struct avp *a = mk("Session-Id"); memset(&x, 0, sizeof x); x.os.data = C.sid; x.os.len = C.sidlen; fd_msg_avp_setvalue(a, &x); fd_msg_avp_add(m, MSG_BRW_FIRST_CHILD, a); }
	CHECK_FCT(fd_msg_add_origin(m, 0));
	str(m, "Destination-Realm", c_realm); if (c_host[0]) str(m, "Destination-Host", c_host);
	u32(m, "Auth-Application-Id", 4); str(m, "Service-Context-Id", c_ctx);
	u32(m, "CC-Request-Type", type); u32(m, "CC-Request-Number", num);
	{ union avp_value x; uint8_t b[4]; uint32_t t = htonl((uint32_t)time(NULL) + 2208988800u); struct avp *a = mk("Event-Timestamp"); memcpy(b, &t, 4); memset(&x, 0, sizeof x); x.os.data = b; x.os.len = 4; fd_msg_avp_setvalue(a, &x); fd_msg_avp_add(m, MSG_BRW_LAST_CHILD, a); }
	g = grp(m, "Subscription-Id"); u32(g, "Subscription-Id-Type", 0); str(g, "Subscription-Id-Data", c_msisdn);
	if (type == 3) u32(m, "Termination-Cause", 1);
	if (type == 4) u32(m, "Requested-Action", 0);
	if (c_root || type == 4) {
		if (type != 3) { g = grp(m, "Requested-Service-Unit"); u32(g, "CC-Time", c_rsu); }
		if (used >= 0 && type != 4) { g = grp(m, "Used-Service-Unit"); u32(g, "CC-Time", used); }
	} else {
		u32(m, "Multiple-Services-Indicator", 1);
		g = grp(m, "Multiple-Services-Credit-Control");
		if (type != 3) { g2 = grp(g, "Requested-Service-Unit"); if (c_rsu) u32(g2, "CC-Time", c_rsu); }
		if (used >= 0) { g2 = grp(g, "Used-Service-Unit"); u32(g2, "CC-Time", used); }
		u32(g, "Rating-Group", 100);
	}
	si = grp(m, "Service-Information"); ims = grp(si, "IMS-Information");
	g = grp(ims, "Event-Type"); str(g, "SIP-Method", type == 1 ? "INVITE" : type == 3 ? "BYE" : "UPDATE");
	u32(ims, "Role-Of-Node", 0); u32(ims, "Node-Functionality", 0);
	str(ims, "Calling-Party-Address", "tel:+15551000001"); str(ims, "Called-Party-Address", c_called);
	C.number = num;
	CHECK_FCT(fd_msg_send(&m, ans, NULL));
	{ struct timespec ts; clock_gettime(CLOCK_REALTIME, &ts); ts.tv_sec += 30; if (sem_timedwait(&C.done, &ts)) { say("  NO ANSWER to CCR #%u", num); return -1; } }
	return 0;
}
static void *run(void *x) {
	int c, u; uint32_t n;
	fd_log_threadname("fdctf"); sleep(c_start);
	say("start realm=%s", c_realm);
	for (c = 0; c < c_calls; c++) {
		int used = 0; C.abort = C.reauth = 0; n = 0;
		if (fd_sess_new(&C.sess, fd_g_config->cnf_diamid, fd_g_config->cnf_diamid_len, (os0_t)"ctf", 3)) break;
		fd_sess_getsid(C.sess, &C.sid, &C.sidlen);
		say("session %.*s", (int)C.sidlen, C.sid);
		if (c_event) { ccr(4, 0, -1); continue; }
		if (ccr(1, n++, -1) || C.rc != 2001) continue;
		for (u = 0; u < c_updates && !C.abort; u++) {
			int i; used = C.gsu;
			for (i = 0; i < c_interval * 10 && !C.abort && !C.reauth; i++) usleep(100000);
			if (C.reauth) { say("  RAR -> CCR-U"); C.reauth = 0; used /= 2; }
			if (C.abort) break;
			if (C.fui >= 0) { say("  final units used: terminating"); break; }
			if (ccr(2, n++, used) || C.rc != 2001) break;
		}
		ccr(3, n++, C.gsu ? C.gsu : 0);
	}
	say("done");
	if (c_exit) kill(getpid(), SIGTERM);
	return NULL;
}
static int on_req(struct msg **m, struct avp *a, struct session *s, void *d, enum disp_action *act) {
	struct msg_hdr *h; struct msg *q = *m; int abort = (long)d; fd_msg_hdr(q, &h);
	say("  got %s app=%u", abort ? "ASR" : "RAR", h->msg_appl);
	CHECK_FCT(fd_msg_new_answer_from_req(fd_g_config->cnf_dict, m, 0));
	CHECK_FCT(fd_msg_rescode_set(*m, abort ? "DIAMETER_SUCCESS" : "DIAMETER_LIMITED_SUCCESS", NULL, NULL, 1));
	CHECK_FCT(fd_msg_send(m, NULL, NULL));
	if (abort) C.abort = 1; else C.reauth = 1;
	return 0;
}
static void conf(const char *fn) {
	char l[512], *v; FILE *f = fopen(fn, "r"); if (!f) return;
	while (fgets(l, sizeof l, f)) {
		l[strcspn(l, "\r\n")] = 0; if (l[0] == '#' || !(v = strchr(l, '='))) continue; *v++ = 0;
#define S(k) if (!strcmp(l, #k)) snprintf(c_##k, sizeof c_##k, "%s", v)
#define I(k) if (!strcmp(l, #k)) c_##k = atoi(v)
		S(realm); S(host); S(msisdn); S(called); S(ctx); S(out); I(calls); I(updates); I(interval); I(rsu); I(exit); I(root); I(event); I(start); I(tbit);
	}
	fclose(f);
}
static int fdctf_entry(char *conffile) {
	struct disp_when w; struct disp_hdl *hd; pthread_t t;
	out = stdout; if (conffile) conf(conffile); if (c_out[0]) out = fopen(c_out, "a") ?: stdout;
	sem_init(&C.done, 0, 0);
	CHECK_FCT(fd_dict_search(fd_g_config->cnf_dict, DICT_APPLICATION, APPLICATION_BY_NAME, "Diameter Credit Control Application", &D.app, ENOENT));
	CHECK_FCT(fd_dict_search(fd_g_config->cnf_dict, DICT_COMMAND, CMD_BY_NAME, "Credit-Control-Request", &D.ccr, ENOENT));
	CHECK_FCT(fd_disp_app_support(D.app, NULL, 1, 0));
	memset(&w, 0, sizeof w); w.app = D.app;
	CHECK_FCT(fd_dict_search(fd_g_config->cnf_dict, DICT_COMMAND, CMD_BY_NAME, "Re-Auth-Request", &w.command, ENOENT));
	CHECK_FCT(fd_disp_register(on_req, DISP_HOW_CC, &w, (void *)0L, &hd));
	CHECK_FCT(fd_dict_search(fd_g_config->cnf_dict, DICT_COMMAND, CMD_BY_NAME, "Abort-Session-Request", &w.command, ENOENT));
	CHECK_FCT(fd_disp_register(on_req, DISP_HOW_CC, &w, (void *)1L, &hd));
	return pthread_create(&t, NULL, run, NULL);
}
EXTENSION_ENTRY("fdctf", fdctf_entry, "dict_dcca", "dict_dcca_3gpp");
