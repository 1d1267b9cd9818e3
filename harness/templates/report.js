"use strict";
// Says the value of the point that is nearest to the pointer.
(function () {
  var tip = document.getElementById("tip"), near = null;
  function hide() {
    tip.hidden = true;
    if (near) { near.classList.remove("near"); }
    near = null;
  }
  document.querySelectorAll("svg.chart").forEach(function (chart) {
    var marks = Array.from(chart.querySelectorAll(".points path")).filter(function (mark) {
      var title = mark.querySelector("title");
      if (!title) { return false; }
      mark.dataset.told = title.textContent;
      // The browser's own hint would come on top of this one.
      title.remove();
      return true;
    });
    function show(event) {
      var best = 40, found = null, at = null;
      marks.forEach(function (mark) {
        var box = mark.getBoundingClientRect();
        var x = box.left + box.width / 2, y = box.top + box.height / 2;
        var distance = Math.hypot(x - event.clientX, y - event.clientY);
        if (best > distance) { best = distance; found = mark; at = [x, box.top]; }
      });
      if (found !== near) { hide(); }
      if (!found) { return; }
      near = found;
      near.classList.add("near");
      tip.textContent = near.dataset.told;
      tip.hidden = false;
      var room = document.documentElement.clientWidth - tip.offsetWidth - 8;
      var left = Math.max(8, Math.min(room, at[0] - tip.offsetWidth / 2));
      var above = at[1] - tip.offsetHeight - 8;
      tip.style.transform = "translate(" + left + "px," + (above > 8 ? above : at[1] + 20) + "px)";
    }
    chart.addEventListener("pointermove", show);
    chart.addEventListener("pointerdown", show);
    chart.addEventListener("pointerleave", hide);
  });
  window.addEventListener("scroll", hide, { passive: true });
})();
