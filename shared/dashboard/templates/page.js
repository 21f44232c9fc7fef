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
