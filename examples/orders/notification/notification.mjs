// Tells a customer that an order was shipped, by a mail server that is down today.

async function sendMail(address, text) {
  throw new Error(`mail server does not answer; ${address} was not told: ${text}`);
}

export async function handler(event) {
  await sendMail(event.customer, `Your order ${event.order} is on its way.`);
  return { told: event.customer };
}
