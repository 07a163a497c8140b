// A client of the marketplace's JSON API with `fetch`, for browsers and Node 18 or newer: makes a gig with a picture, finds
// it, orders it, and shows what errors look like.
//
//     node docs/examples/fetch_client.mjs URL SELLER_TOKEN BUYER_TOKEN

const SECONDS = 20;
const TRIES = 4;

// An error of the catalogue: `code` is stable, `message` is for people, `details` names the fields that were wrong.
export class MarketplaceError extends Error {
  constructor(status, { error, code, details = [] }, requestId) {
    super(error);
    Object.assign(this, { status, code, details, requestId });
  }
}

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

export class Marketplace {
  constructor(url, token) {
    Object.assign(this, { url, token });
  }

  // Calls the API; `body` is JSON, or a form. A write with an idempotency key is done once, however often it is sent, so
  // it is sent again like a read when the connection breaks or the marketplace is busy.
  async call(method, path, { body, key, query = {} } = {}) {
    const headers = {};
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    if (key) headers["Idempotency-Key"] = key;
    const isForm = body instanceof FormData;
    if (body && !isForm) headers["Content-Type"] = "application/json";
    const target = new URL(path, this.url);
    target.search = new URLSearchParams(query);
    const mayRepeat = method === "GET" || Boolean(key);
    for (let tries = 1; ; tries += 1) {
      const last = !mayRepeat || tries === TRIES;
      let response;
      try {
        response = await fetch(target, {
          method,
          headers,
          body: isForm ? body : body && JSON.stringify(body),
          signal: AbortSignal.timeout(SECONDS * 1000),
        });
      } catch (problem) {
        if (last) throw problem;
        await sleep(0.2 * 2 ** tries);
        continue;
      }
      if (response.ok) return response.status === 204 ? undefined : response.json();
      if (!last && [429, 503].includes(response.status)) {
        await sleep(Number(response.headers.get("Retry-After") ?? 1));
        continue;
      }
      throw new MarketplaceError(response.status, await response.json(), response.headers.get("X-Request-Id"));
    }
  }

  // Yields all rows of a list, page by page.
  async *rows(path, query = {}) {
    for (let pageToken = ""; ; ) {
      const page = await this.call("GET", path, { query: pageToken ? { ...query, pageToken } : query });
      yield* page.results;
      pageToken = page.nextPageToken;
      if (!pageToken) return;
    }
  }
}

// A picture of one blue pixel.
const PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGPQiDoBAAH4AUspz9deAAAAAElFTkSuQmCC";

async function main(url, sellerToken, buyerToken) {
  const seller = new Marketplace(url, sellerToken);
  const buyer = new Marketplace(url, buyerToken);

  const made = await seller.call("POST", "/api/gigs", {
    key: crypto.randomUUID(),
    body: {
      title: "Fetch example",
      description: "Made by an example",
      categoryId: "3fa85f64-5717-4562-b3fc-2c963f66afa6",
      packages: [{ title: "Basic", price: 19.99, deliveryDays: 3 }],
    },
  });
  const form = new FormData();
  form.append("file", new Blob([Uint8Array.from(atob(PICTURE), (each) => each.charCodeAt(0))]), "blue.png");
  const { images } = await seller.call("POST", `/api/gigs/${made.id}/images`, { body: form });
  console.log(`made: ${made.title}, with a picture at ${images[0].url}`);

  for await (const row of buyer.rows("/api/gigs", { sellerId: made.sellerId, pageSize: 1 })) {
    if (row.id === made.id) console.log(`found: ${row.title} from ${row.startingPrice}`);
  }

  const gig = await buyer.call("GET", `/api/gigs/${made.id}`);
  const order = { packageId: gig.packages[0].id, requirements: "Dark theme", paymentMethod: "sandbox" };
  const key = crypto.randomUUID();
  const [first, second] = await Promise.all([1, 2].map(() => buyer.call("POST", "/api/orders", { body: order, key })));
  console.log(`ordered: ${first.status}; again with the same key: ${first.orderId === second.orderId}`);

  try {
    await buyer.call("POST", "/api/orders", { body: { packageId: "none" } });
  } catch (error) {
    console.log(`refused: ${error.status} ${error.code} ${error.details.map((each) => each.field).join(", ")}`);
  }
}

// Not when another module imports this one.
if (globalThis.process?.argv[1]?.endsWith("fetch_client.mjs")) await main(...process.argv.slice(2));
