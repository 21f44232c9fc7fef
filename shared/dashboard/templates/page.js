// What the page has beyond HTML, and does without where no script may run.
for (const button of document.querySelectorAll("button.copy")) {
  const command = document.getElementById(button.getAttribute("aria-controls"));
  const result = button.nextElementSibling;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command.textContent);
      result.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(command);
      result.textContent = "Selected: copy it with the keyboard";
    }
  });
}

// The page is loaded anew by itself, until somebody uses it: what was typed or selected must not get lost.
const live = document.getElementById("live");
if (live) {
  let isUsed = false;
  const use = () => {
    isUsed = true;
    live.textContent = live.dataset.used;
  };
  document.addEventListener("input", use);
  // A link under the mouse is not to move away before the click is done, as it would with the text above it.
  document.addEventListener("focusin", (event) => event.target.matches(":focus-visible") && use());
  document.addEventListener("click", (event) => event.target.closest("summary, label") && use());
  setInterval(() => {
    if (!isUsed && !document.hidden && getSelection().isCollapsed) location.reload();
  }, 1000 * live.dataset.seconds);
}

// Local time beside UTC where there is room, and on hover everywhere.
const date = { year: "numeric", month: "2-digit", day: "2-digit" };
const clock = { hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
for (const time of document.querySelectorAll("time")) {
  const moment = new Date(time.dateTime);
  if (moment.getTimezoneOffset() === 0) continue;
  time.title = moment.toLocaleString([], { ...date, ...clock });
  if (time.closest("table, .status-strip")) continue;
  const isOtherDay = moment.getDate() !== moment.getUTCDate();
  const local = document.createElement("span");
  local.className = "local";
  local.textContent = ` (${isOtherDay ? time.title : moment.toLocaleTimeString([], clock)})`;
  (time.querySelector(".stamp") || time).append(local);
}
