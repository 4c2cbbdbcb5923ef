const express = require("express");
const ms = require("ms");

const app = express();
app.get("/", (request, response) => response.send(`hello from Express after ${ms(60000)}`));
const server = app.listen(0, "127.0.0.1", async () => {
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`);
  console.log(await answer.text());
  server.close();
});
