const state = document.getElementById("state");
state.textContent = "ready at " + state.getBoundingClientRect().width + " px";
