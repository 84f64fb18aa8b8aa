// The theme lets the keyboard reach what scrolls, and measures that when the window
// changes; what was folded away then has to be measured when it is unfolded.
function measure(event) {
  if (event.target.closest("details, .admonition.toggle")) {
    window.dispatchEvent(new Event("resize"));
  }
}
document.addEventListener("click", measure);
document.addEventListener("toggle", measure, true); // toggle events do not bubble
