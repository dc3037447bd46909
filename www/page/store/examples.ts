export interface Example {
  readonly title: string;
  readonly exchange: string;
  readonly key: string;
  /** Values as one would type them. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** The messages that the example's README explains. The first one is shown at the start. */
export const EXAMPLES: readonly Example[] = [
  { title: 'an order paid in the EU', exchange: 'shop.orders', key: 'order.eu.paid' },
  {
    title: 'a PDF invoice by post',
    exchange: 'shop.invoices',
    key: '',
    headers: { format: 'pdf', delivery: 'post', customer: 'business' },
  },
  { title: 'an order from nowhere', exchange: 'shop.orders', key: 'order.uk.cancelled' },
];
