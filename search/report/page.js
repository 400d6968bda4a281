// The copy buttons: each copies the text of the code beside it.
for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "copied";
    } catch { // a browser that keeps its clipboard from pages: the text is marked, to be copied by hand
      getSelection().selectAllChildren(code);
      button.textContent = "marked";
    }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
}
