# Shared by deploy and run. Everything goes through the AWS CLI; with AWS_ENDPOINT_URL it talks to that endpoint
# (older CLIs do not know the variable, hence the flag), without it to AWS.
export AWS_PAGER="" AWS_DEFAULT_REGION="${AWS_DEFAULT_REGION:-us-east-1}"
if [ -n "${AWS_ENDPOINT_URL:-}" ]; then
  export AWS_ACCESS_KEY_ID="${AWS_ACCESS_KEY_ID:-test}" AWS_SECRET_ACCESS_KEY="${AWS_SECRET_ACCESS_KEY:-test}"
fi

aws() { command aws ${AWS_ENDPOINT_URL:+--endpoint-url "$AWS_ENDPOINT_URL"} "$@"; }

# Prints a command as one would type it, then runs it.
shown() {
  typed "$@"
  "$@"
}
typed() {
  local text="" word
  for word in "$@"; do
    case "$word" in *[!A-Za-z0-9_.,:=/@%+-]*) word="'$word'" ;; esac
    text+=" $word"
  done
  printf '  $%s\n' "$text"
}

queue_url() { aws sqs get-queue-url --queue-name "$1" --query QueueUrl --output text; }
