// src/index.ts
/** A request that brought no order. `status` is 0 when there was no answer. */
var OrderError = class extends Error {
	status;
	retryAfter;
	name = "OrderError";
	constructor(status, retryAfter, options) {
		super(status ? `the server answered ${status}` : "no answer", options);
		this.status = status;
		this.retryAfter = retryAfter;
	}
	/** Whether the same request may be served later. */
	get temporary() {
		return !this.status || this.status === 408 || this.status === 429 || this.status >= 500;
	}
};
var second = 1e3;
/** A request without an answer is given up: the gateway answers within 30 s. */
var requestLimit = 35 * second;
/** Where the server names no time: what is not final is asked for every 5 s. */
var usualPause = 5;
/** Nothing makes the watch wait longer, neither the server nor a quiet order. */
var longestPause = 3600;
/** An order that has not moved for this long is next asked for after as long again. */
var quietAfter = 60 * second;
/** Failures in a row: 1, 2, 4 … 60 s, each less up to a half by chance. */
var longestBackoff = 60;
/** Reads Retry-After in seconds. A date is not read: the clock here may be wrong. */
function pauseOf(headers) {
	const text = headers.get("Retry-After") ?? "";
	return /^\d+$/.test(text) ? Math.min(Math.max(+text, 1), longestPause) : usualPause;
}
/**
* Asks once. `last` is the reading that the caller holds: the server then sends
* the order only if it has changed, and the result is never older than `last`.
* Fails with an OrderError, or with the reason of `signal`.
*/
async function readOrder(id, access, signal, last) {
	const limit = new AbortController();
	const stop = () => limit.abort(signal?.reason);
	const timer = setTimeout(stop, requestLimit);
	signal?.addEventListener("abort", stop);
	const stopped = new Promise((_, reject) => limit.signal.addEventListener("abort", () => reject(limit.signal.reason)));
	try {
		signal?.throwIfAborted();
		let answer;
		for (let renew = false;; renew = true) {
			answer = await Promise.race([stopped, request(id, access, renew, limit.signal, last)]);
			if (answer.status !== 401 || renew || !access.getToken) break;
		}
		const retryAfter = pauseOf(answer.headers);
		if (answer.status === 304 && last) return {
			...last,
			retryAfter
		};
		if (answer.status !== 200) throw new OrderError(answer.status, retryAfter);
		const order = await Promise.race([stopped, answer.json()]);
		if (typeof order?.status !== "string" || typeof order.final !== "boolean") throw new OrderError(0, retryAfter);
		const etag = answer.headers.get("ETag");
		if (last && written(order) < written(last)) return {
			...last,
			retryAfter
		};
		return {
			...order,
			retryAfter,
			...etag ? { etag } : {}
		};
	} catch (cause) {
		if (signal?.aborted) throw signal.reason;
		throw cause instanceof OrderError ? cause : new OrderError(0, 0, { cause });
	} finally {
		clearTimeout(timer);
		signal?.removeEventListener("abort", stop);
	}
}
async function request(id, access, renew, signal, last) {
	const headers = {};
	if (access.getToken) headers.Authorization = "Bearer " + await access.getToken(renew);
	if (last?.etag) headers["If-None-Match"] = last.etag;
	const url = (access.baseUrl ?? "").replace(/\/+$/, "") + "/orders/" + encodeURIComponent(id);
	return (access.fetch ?? fetch)(url, {
		headers,
		signal,
		cache: "no-store"
	});
}
var written = (order) => Date.parse(order.updatedAt ?? "") || 0;
/** Returns the order as it is shown before the server has answered. */
var unread = (id) => ({
	sfOrderId: id,
	status: "Pending Review",
	final: false
});
/**
* Follows an order until it is final: asks when the server says that it is
* worth it, never twice at a time, not while the tab is hidden, and less often
* for an order that does not move. Resolves with the last order known when the
* watch has ended: final, aborted or refused. Never rejects.
*/
async function watchOrder(id, options) {
	const { signal } = options;
	let last;
	let shown = "";
	let moved = performance.now();
	let failures = 0;
	const show = (connection, error) => {
		const order = known$1(id, last);
		const is = JSON.stringify([
			order,
			connection,
			error?.status
		]);
		if (is === shown || signal?.aborted) return;
		shown = is;
		options.onChange(order, connection, error);
	};
	show("connecting");
	if (hidden()) await rest(0, 0, signal);
	while (!signal?.aborted) {
		let least;
		let pause;
		try {
			const before = last;
			last = await readOrder(id, options, signal, last);
			if (last.status !== before?.status || last.updatedAt !== before.updatedAt) moved = performance.now();
			failures = 0;
			show("live");
			if (last.final) break;
			least = last.retryAfter;
			const quiet = performance.now() - moved;
			pause = Math.max(least, quiet < quietAfter ? 0 : Math.min(quiet / second, longestPause));
			pause *= 1 + Math.random() / 10;
		} catch (error) {
			if (!(error instanceof OrderError)) break;
			show(error.temporary ? "retrying" : "refused", error);
			if (!error.temporary) break;
			least = error.retryAfter;
			pause = least + Math.min(2 ** failures++, longestBackoff) * (1 - Math.random() / 2);
		}
		if (await rest(least * second, pause * second, signal)) moved = performance.now();
	}
	return known$1(id, last);
}
function known$1(id, last) {
	if (!last) return unread(id);
	const { retryAfter: _, etag: __, ...order } = last;
	return order;
}
var hidden = () => !!globalThis.document?.hidden;
/** What says that the customer looks at the page, or that there is a network again. */
var wakers = [
	"visibilitychange",
	"focus",
	"pageshow",
	"online"
];
/**
* Returns false after `pause` ms; or true earlier, though not before `least`
* ms, when the customer looks at the page or the network is back. While the tab
* is hidden it does not return at all.
*/
function rest(least, pause, signal) {
	const started = performance.now();
	return new Promise((resolve) => {
		let timer;
		const endAfter = (ms, woken) => {
			clearTimeout(timer);
			timer = setTimeout(() => hidden() || end(woken), Math.max(started + ms - performance.now(), 0));
		};
		const wake = () => hidden() || endAfter(least, true);
		const end = (woken) => {
			clearTimeout(timer);
			for (const event of wakers) globalThis.removeEventListener?.(event, wake, true);
			signal?.removeEventListener("abort", stop);
			resolve(woken);
		};
		const stop = () => end(false);
		if (signal?.aborted) return stop();
		for (const event of wakers) globalThis.addEventListener?.(event, wake, true);
		signal?.addEventListener("abort", stop);
		endAfter(pause, false);
	});
}
// src/texts.ts
var texts = {
	en: {
		"Pending Review": {
			title: "In review",
			detail: "We have your order and are checking it. There is nothing you need to do."
		},
		Activating: {
			title: "Being set up",
			detail: "We are setting up your services. This usually takes a few minutes; you can close this page."
		},
		Provisioned: {
			title: "Ready",
			detail: "Your services are active."
		},
		Failed: {
			title: "Needs our attention",
			detail: "We could not finish setting up your order. Our team has been told and will contact you. Please do not order again."
		},
		retrying: {
			title: "No connection",
			detail: "This is the last status that we know. We keep trying."
		},
		refused: {
			title: "Not up to date",
			detail: "This page cannot be updated any more. Please sign in again."
		}
	},
	de: {
		"Pending Review": {
			title: "In Prüfung",
			detail: "Ihre Bestellung ist eingegangen und wird geprüft. Sie müssen nichts tun."
		},
		Activating: {
			title: "Wird eingerichtet",
			detail: "Wir richten Ihre Dienste ein. Das dauert meist wenige Minuten; Sie können diese Seite schließen."
		},
		Provisioned: {
			title: "Bereit",
			detail: "Ihre Dienste sind aktiv."
		},
		Failed: {
			title: "Wir kümmern uns darum",
			detail: "Die Einrichtung Ihrer Bestellung ist nicht gelungen. Unser Team weiß Bescheid und meldet sich bei Ihnen. Bitte bestellen Sie nicht noch einmal."
		},
		retrying: {
			title: "Keine Verbindung",
			detail: "Dies ist der letzte bekannte Stand. Wir versuchen es weiter."
		},
		refused: {
			title: "Nicht aktuell",
			detail: "Diese Seite kann nicht mehr aktualisiert werden. Bitte melden Sie sich erneut an."
		}
	},
	ja: {
		"Pending Review": {
			title: "確認中",
			detail: "ご注文を受け付け、内容を確認しています。お客様の操作は必要ありません。"
		},
		Activating: {
			title: "設定中",
			detail: "サービスを設定しています。通常は数分で完了します。このページを閉じても問題ありません。"
		},
		Provisioned: {
			title: "ご利用可能",
			detail: "サービスをご利用いただけます。"
		},
		Failed: {
			title: "担当者が対応しています",
			detail: "ご注文の設定を完了できませんでした。担当者よりご連絡いたします。再度のご注文はお控えください。"
		},
		retrying: {
			title: "接続できません",
			detail: "最後に確認できた状態を表示しています。引き続き接続を試みています。"
		},
		refused: {
			title: "最新の状態ではありません",
			detail: "このページを更新できません。もう一度サインインしてください。"
		}
	}
};
/**
* Returns what to show a customer. `language` is a language tag such as `de-AT`
* or `navigator.language`; what there are no texts for is shown in English.
*/
function orderText(status, language = "en") {
	return texts[known(language)][status];
}
/** Returns what to show beside the order, or undefined while all is well. */
function connectionText(connection, language = "en") {
	return connection === "retrying" || connection === "refused" ? texts[known(language)][connection] : void 0;
}
function known(language) {
	const primary = language.toLowerCase().split("-")[0];
	return Object.hasOwn(texts, primary) ? primary : "en";
}
export { connectionText, orderText, watchOrder };
