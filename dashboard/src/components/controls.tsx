/** Buttons, selects and segmented choices: native elements in the product's dress. */
import type { ButtonHTMLAttributes, ReactNode } from "react";
import styles from "./controls.module.css";
import { Icon } from "./icon";

const classes = (...names: (string | false | undefined)[]): string => names.filter(Boolean).join(" ");

type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & { look?: "primary" | "plain" | "icon"; small?: boolean };

export function Button({ look, small = false, className, type = "button", ...rest }: ButtonProps) {
  const looks = [look === "primary" && styles.primary, look === "plain" && styles.plain];
  const icon = look === "icon" && classes(styles.plain, styles.icon);
  return (
    <button
      type={type}
      className={classes(styles.button, small && styles.small, ...looks, icon, className)}
      {...rest}
    />
  );
}

export interface Choice<T extends string> {
  value: T;
  label: string;
  /** Shown in place of the label, which then only names it. */
  glyph?: ReactNode;
}

interface SelectProps<T extends string> {
  label: string;
  value: T;
  choices: readonly Choice<T>[];
  onChoose: (value: T) => void;
}

export function Select<T extends string>({ label, value, choices, onChoose }: SelectProps<T>) {
  return (
    <span className={styles.selectBox}>
      <select
        aria-label={label}
        className={classes(styles.select, styles.selectSmall)}
        value={value}
        onChange={(event) => onChoose(event.target.value as T)}
      >
        {choices.map((choice) => (
          <option key={choice.value} value={choice.value}>
            {choice.label}
          </option>
        ))}
      </select>
      <Icon name="down" size={14} />
    </span>
  );
}

/** A few choices side by side, one of them pressed. */
export function Segments<T extends string>({ label, value, choices, onChoose }: SelectProps<T>) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be laid out inline in all browsers
    <div role="group" aria-label={label} className={styles.segments}>
      {choices.map((choice) => (
        <button
          key={choice.value}
          type="button"
          className={styles.segment}
          aria-pressed={choice.value === value}
          aria-label={choice.glyph ? choice.label : undefined}
          title={choice.glyph ? choice.label : undefined}
          onClick={() => onChoose(choice.value)}
        >
          {choice.glyph ?? choice.label}
        </button>
      ))}
    </div>
  );
}

export const inputClass = styles.input;
