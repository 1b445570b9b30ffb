// One record: each statement beside what it rests on; amended, signed or rejected by whoever logged in.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { citation } from "./citations.js";
import { bedPath, me, may, post } from "./server.js";
import { t } from "./texts.js";
import { moment, seconds } from "./times.js";

export function recordView(body, key, heard, record, done) {
  const facts = new Map(record.facts.map((fact) => [fact.id, fact]));
  const sources = new Map(record.sources.map((source) => [source.id, source]));
  let amending = false;
  let refused = "";
  const here = `api/records/${heard.id}/${heard.version}`;

  function statement(one) {
    const rests = [...one.facts.map((id) => [id, facts.get(id)]), ...one.guidance.map((id) => [id, sources.get(id)])];
    return html`<div class="statement"><p>${one.text} <span class="origin">${t(`origin.${one.origin}`)}</span></p>
      ${rests.length ? html`<ul class="rests" aria-label=${t("record.rests")}>${rests.map(([id, what]) => html`<li>${citation(id, what)}
        <span class="value">${what?.origin ? what.text : what?.title ?? ""}</span></li>`)}</ul>` : nothing}</div>`;
  }

  function section(one) {
    return html`<section><h4>${t(`section.${one.key}`)}</h4>
      ${amending ? html`<label><span class="unseen">${t(`section.${one.key}`)}</span>
          <textarea name=${one.key} rows=${Math.max(2, one.statements.length + 1)}>${one.text}</textarea></label>` : nothing}
      ${one.statements.length ? one.statements.map(statement) : html`<p class="hint">${t("record.empty")} ${one.reason}</p>`}</section>`;
  }

  async function decide(event) {
    event.preventDefault();
    const form = new FormData(event.target);
    const decision = event.submitter.value;
    const sections = {};
    if (decision === "amend") {
      for (const one of record.sections) if (form.get(one.key) !== one.text) sections[one.key] = form.get(one.key);
    }
    try {
      const answer = await post(bedPath(key, "sign"), {
        draft: heard.id, version: heard.version, sha256: heard.sha256, decision, sections,
        comment: form.get("comment"), password: form.get("password"),
      });
      done(answer.detail);
    } catch (why) {
      refused = why.message;
      draw();
    }
  }

  function signing() {
    if (!may("sign") || record.signature || heard.status !== "preliminary") return nothing;
    if (!me().signer) return html`<p class="hint">${t("record.no_signer")}</p>`;
    return html`<fieldset><legend>${t("record.decide", { signer: me().signer })}</legend>
      <label>${t("record.comment")} <input name="comment" maxlength="1000" autocomplete="off"></label>
      <label>${t("record.password")} <input name="password" type="password" autocomplete="current-password" required></label>
      ${refused ? html`<p class="refused" role="alert">${refused}</p>` : nothing}
      <p class="buttons">
        ${amending
          ? html`<button class="main" value="amend">${t("record.amend_sign")}</button><button type="button" @click=${() => amend(false)}>${t("cancel")}</button>`
          : html`<button class="main" value="accept">${t("record.sign")}</button>
            <button type="button" id="amend" @click=${() => amend(true)}>${t("record.amend")}</button>
            <button class="danger" value="reject">${t("record.reject")}</button>`}</p></fieldset>`;
  }

  function amend(on) {
    amending = on;
    draw();
  }

  function draw() {
    const signature = record.signature;
    render(html`<article class="draft" tabindex="0" aria-label=${t("records.title")}><form @submit=${decide}>
        <p class="mark ${signature ? "signed" : ""}">${signature
          ? t("record.signed", { decision: t(`decision.${signature.decision}`), who: signature.who, when: moment(seconds(signature.when)) })
          : t("record.unsigned")}</p>
        <p class="buttons"><a class="button" href="${here}/record.pdf" download>${t("record.pdf")}</a>
          <a class="button" href="${here}/record.fhir.json" download>${t("record.fhir")}</a></p>
        ${signature?.comment ? html`<p>${t("record.comment")}: ${signature.comment}</p>` : nothing}
        ${record.sections.map(section)}
        ${record.notes.length ? html`<section><h4>${t("record.notes")}</h4><ul>${record.notes.map((note) => html`<li>${note}</li>`)}</ul></section>` : nothing}
        <details><summary>${t("record.facts", { n: record.facts.length })}</summary>
          <table><thead><tr><th scope="col">${t("citation.name")}</th><th scope="col">${t("citation.text")}</th><th scope="col">${t("citation.origin")}</th></tr></thead>
          <tbody>${record.facts.map((fact) => html`<tr><th scope="row">${fact.name}</th><td>${fact.text}</td><td>${t(`origin.${fact.origin}`)}</td></tr>`)}</tbody></table></details>
        ${signing()}
      </form></article>`, body);
  }

  draw();
  body.querySelector("article").scrollIntoView({ block: "nearest" });
}
