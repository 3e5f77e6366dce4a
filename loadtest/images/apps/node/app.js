const express = require("express");
const path = require("path");

const app = express();
app.use("/static", express.static(path.join(__dirname, "public")));
app.get("/", (req, res) => res.type("text").send("node VERSION: ready\n"));
app.listen(process.env.PORT || 8000);
process.on("SIGTERM", () => process.exit(0));
