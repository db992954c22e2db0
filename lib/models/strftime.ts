/** Dates in chat templates, as Python writes them in its default locale. */

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]

const two = (value: number) => String(value).padStart(2, '0')

const directives: Record<string, (date: Date) => string> = {
  a: date => days[date.getDay()]!.slice(0, 3),
  A: date => days[date.getDay()]!,
  b: date => months[date.getMonth()]!.slice(0, 3),
  B: date => months[date.getMonth()]!,
  d: date => two(date.getDate()),
  m: date => two(date.getMonth() + 1),
  y: date => two(date.getFullYear() % 100),
  Y: date => String(date.getFullYear()),
  H: date => two(date.getHours()),
  I: date => two(date.getHours() % 12 || 12),
  M: date => two(date.getMinutes()),
  S: date => two(date.getSeconds()),
  p: date => (date.getHours() < 12 ? 'AM' : 'PM'),
  '%': () => '%',
}

/**
 * The Jinja library has a `strftime_now` of its own, but it names months in the user's language: the same model would
 * get another prompt in another country.
 * @param format local time, with %a %A %b %B %d %m %y %Y %H %I %M %S %p %%; other directives stay as they are
 */
export function strftime(date: Date, format: string): string {
  return format.replace(/%(.)/g, (directive, letter: string) => directives[letter]?.(date) ?? directive)
}
