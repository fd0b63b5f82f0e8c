/** The icons, drawn on a 16-pixel grid; always beside a text or a label, so hidden from assistive technology. */
import type { ReactNode } from "react";

const SHAPES = {
  check: <path d="m3.5 8.5 3 3 6-7" />,
  alarm: <path d="M8 2.2 14.2 13H1.8L8 2.2ZM8 6.4v3.1M8 11.3v.1" />,
  question: <path d="M6 6.2a2 2 0 1 1 2.9 1.8c-.6.3-.9.7-.9 1.4M8 11.6v.1M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z" />,
  stop: <rect x="4" y="4" width="8" height="8" rx="1.5" />,
  error: <path d="m5.5 5.5 5 5m0-5-5 5M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z" />,
  progress: <path d="M8 2a6 6 0 1 0 6 6" />,
  pause: <path d="M5.5 4v8m5-8v8" />,
  out: <path d="M8 13V3m0 0L4 7m4-4 4 4" />,
  in: <path d="M8 3v10m0 0 4-4m-4 4L4 9" />,
  refuse: <path d="M3.8 3.8l8.4 8.4M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z" />,
  replace: <path d="M12.5 5.5A5 5 0 0 0 3.6 6M3.5 10.5a5 5 0 0 0 8.9-.5M12.8 2.6v3h-3M3.2 13.4v-3h3" />,
  keep: <path d="M3 6h10M3 10h10" />,
  copy: (
    <>
      <rect x="5.5" y="5.5" width="8" height="8" rx="1.5" />
      <path d="M10.5 3.5v-.2c0-.7-.6-1.3-1.3-1.3H3.8c-.7 0-1.3.6-1.3 1.3v5.4c0 .7.6 1.3 1.3 1.3h.2" />
    </>
  ),
  sun: (
    <path d="M8 1.5v1.2m0 10.6v1.2M1.5 8h1.2m10.6 0h1.2M3.4 3.4l.9.9m7.4 7.4.9.9m0-9.2-.9.9m-7.4 7.4-.9.9M11 8a3 3 0 1 1-6 0 3 3 0 0 1 6 0Z" />
  ),
  moon: <path d="M13.5 9.6A5.8 5.8 0 0 1 6.4 2.5a5.8 5.8 0 1 0 7.1 7.1Z" />,
  system: <path d="M2.5 3h11v7.5h-11V3ZM6 13.5h4M8 10.5v3" />,
  eye: <path d="M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8ZM10 8a2 2 0 1 1-4 0 2 2 0 0 1 4 0Z" />,
  sort: <path d="m5 6.5 3-3 3 3m0 3-3 3-3-3" />,
  up: <path d="m5 9.5 3-3 3 3" />,
  down: <path d="m5 6.5 3 3 3-3" />,
  search: <path d="m10.5 10.5 3 3M12 7A5 5 0 1 1 2 7a5 5 0 0 1 10 0Z" />,
  clock: <path d="M8 4.5V8l2.4 1.5M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z" />,
} satisfies Record<string, ReactNode>;

export type IconName = keyof typeof SHAPES;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg
      aria-hidden="true"
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      focusable="false"
    >
      {SHAPES[name]}
    </svg>
  );
}

/** The product's mark: a cloud, and the way it goes. */
export function Mark({ size = 28 }: { size?: number }) {
  return <img src="/favicon.svg" alt="" width={size} height={size} />;
}
