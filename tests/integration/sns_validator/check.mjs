// AWS's own validator on a message in the file MESSAGE: check.mjs MESSAGE. Prints "valid", or fails with what it says.
// It insists on certificates from https://sns.REGION.amazonaws.com; here they come from where the message says.
import { createRequire } from "node:module";
import fs from "node:fs";
import http from "node:http";
const require = createRequire(process.env.SNS_VALIDATOR + "/");
const https = require("https");
https.get = (url, done) => http.get({ hostname: process.env.SNS_HOST, port: process.env.SNS_PORT, path: url.path ?? new URL(url).pathname }, done);
const MessageValidator = require("sns-validator");
const message = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
message.SigningCertURL = message.SigningCertURL.replace(/^http:\/\/[^/]+/, "https://sns.us-east-1.amazonaws.com");
new MessageValidator().validate(message, (error) => {
  if (error) throw error;
  console.log("valid");
});
