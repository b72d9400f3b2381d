import type { Connection, OrderStatus } from "./index.js";

/** Languages that the texts are in. */
export type Language = "en" | "de" | "ja";

/** What a customer reads of an order. */
export interface OrderText {
  readonly title: string;
  readonly detail: string;
}

const texts: Record<Language, Record<OrderStatus | "retrying" | "refused", OrderText>> = {
  en: {
    "Pending Review": { title: "In review", detail: "We have your order and are checking it. There is nothing you need to do." },
    Activating: { title: "Being set up", detail: "We are setting up your services. This usually takes a few minutes; you can close this page." },
    Provisioned: { title: "Ready", detail: "Your services are active." },
    Failed: { title: "Needs our attention", detail: "We could not finish setting up your order. Our team has been told and will contact you. Please do not order again." },
    retrying: { title: "No connection", detail: "This is the last status that we know. We keep trying." },
    refused: { title: "Not up to date", detail: "This page cannot be updated any more. Please sign in again." },
  },
  de: {
    "Pending Review": { title: "In Prüfung", detail: "Ihre Bestellung ist eingegangen und wird geprüft. Sie müssen nichts tun." },
    Activating: { title: "Wird eingerichtet", detail: "Wir richten Ihre Dienste ein. Das dauert meist wenige Minuten; Sie können diese Seite schließen." },
    Provisioned: { title: "Bereit", detail: "Ihre Dienste sind aktiv." },
    Failed: { title: "Wir kümmern uns darum", detail: "Die Einrichtung Ihrer Bestellung ist nicht gelungen. Unser Team weiß Bescheid und meldet sich bei Ihnen. Bitte bestellen Sie nicht noch einmal." },
    retrying: { title: "Keine Verbindung", detail: "Dies ist der letzte bekannte Stand. Wir versuchen es weiter." },
    refused: { title: "Nicht aktuell", detail: "Diese Seite kann nicht mehr aktualisiert werden. Bitte melden Sie sich erneut an." },
  },
  ja: {
    "Pending Review": { title: "確認中", detail: "ご注文を受け付け、内容を確認しています。お客様の操作は必要ありません。" },
    Activating: { title: "設定中", detail: "サービスを設定しています。通常は数分で完了します。このページを閉じても問題ありません。" },
    Provisioned: { title: "ご利用可能", detail: "サービスをご利用いただけます。" },
    Failed: { title: "担当者が対応しています", detail: "ご注文の設定を完了できませんでした。担当者よりご連絡いたします。再度のご注文はお控えください。" },
    retrying: { title: "接続できません", detail: "最後に確認できた状態を表示しています。引き続き接続を試みています。" },
    refused: { title: "最新の状態ではありません", detail: "このページを更新できません。もう一度サインインしてください。" },
  },
};

/**
 * Returns what to show a customer. `language` is a language tag such as `de-AT`
 * or `navigator.language`; what there are no texts for is shown in English.
 */
export function orderText(status: OrderStatus, language = "en"): OrderText {
  return texts[known(language)][status];
}

/** Returns what to show beside the order, or undefined while all is well. */
export function connectionText(connection: Connection, language = "en"): OrderText | undefined {
  return connection === "retrying" || connection === "refused" ? texts[known(language)][connection] : undefined;
}

function known(language: string): Language {
  const primary = language.toLowerCase().split("-")[0] as Language;
  return Object.hasOwn(texts, primary) ? primary : "en";
}
