"use strict";
// Fetches what the page shows every few seconds, and starts the DAG behind a button through
// Airflow's own REST API, as the user who is logged in.

const PAUSE = 5000;
const RUNS = "../api/v2/dags/steering/dagRuns";
const twins = document.getElementById("twins");
const said = document.getElementById("said");
let shown = null;

function say(text) {
  said.textContent = text;
}

function show(text) {
  if (text === shown) return;
  const focused = document.activeElement?.id;
  const open = [...twins.querySelectorAll("details[open]")].map((item) => item.id);
  twins.innerHTML = text;
  shown = text;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused) document.getElementById(focused)?.focus();
}

async function look() {
  try {
    const answer = await fetch("standing");
    if (answer.status === 401) {
      location.reload();
      return;
    }
    if (!answer.ok) throw new Error(`Airflow answers with HTTP ${answer.status}`);
    show(await answer.text());
    document.body.classList.remove("stale");
  } catch (error) {
    document.body.classList.add("stale");
    say(`What is shown is not up to date: ${error.message}.`);
  }
}

async function lookAgain() {
  if (!document.hidden) await look();
  setTimeout(lookAgain, PAUSE);
}

async function detail(answer) {
  try {
    const { detail } = await answer.json();
    return typeof detail === "string" ? detail : JSON.stringify(detail);
  } catch {
    return `HTTP ${answer.status}`;
  }
}

async function press(button) {
  const { action, recipe, version, run, confirm: question } = button.dataset;
  if (question && !window.confirm(question)) return;
  button.disabled = true;
  const what = `${action} of ${recipe}`;
  try {
    const answer = await fetch(RUNS, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        dag_run_id: run,
        logical_date: null,
        conf: { recipe, action, version },
      }),
    });
    if (answer.ok) say(`Asked for: ${what}. Its job has to start first.`);
    else if (answer.status === 409) say(`Asked for already: ${what}.`);
    else if (answer.status === 403) say(`You may not start runs of the DAG steering: ${what} is not asked for.`);
    else say(`Not asked for: ${what} (${await detail(answer)}).`);
  } catch (error) {
    say(`Not asked for: ${what} (${error.message}).`);
  }
  shown = null;
  await look();
}

twins.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (button) press(button);
});
lookAgain();
