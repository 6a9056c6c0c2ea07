'use strict';

// The Lambda runtime this process plays: AWS_EXECUTION_ENV decides, without it the interpreter's own version.
const named = /^AWS_Lambda_nodejs(\d+)\.x$/.exec(process.env.AWS_EXECUTION_ENV ?? '');
const major = named ? Number(named[1]) : Number(process.versions.node.split('.')[0]);

module.exports = { major, acceptsCallbacks: major < 24 };
